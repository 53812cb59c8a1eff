"""More requests than a web process can work on: who waits, who is asked to come back, and whose connection it is."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import Client, RequestFactory

from commerce.http.admission import TURNED_AWAY, Admission, Place, WaitingRoom
from tests.breaking import growth_of
from tests.shopper import Shopper
from tests.together import PATIENCE_SECONDS, meanwhile, together, wait_until

FOR_EVER = PATIENCE_SECONDS


@pytest.fixture
def place(transactional_db: None) -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def backend() -> int:
    """Which server process the thread's connection talks to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def called(application: Any, path: str) -> tuple[str, dict[str, str], bytes]:
    """What a web server would get from the application, on a thread of its own as there."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    environ = RequestFactory().get(path).environ

    def call() -> bytes:
        return b"".join(application(environ, lambda status, headers: started.append((status, headers))))

    [body] = together([call])
    [(status, headers)] = started
    return status, dict(headers), body


def test_the_longest_waiting_is_next(place: Place) -> None:
    room = WaitingRoom([place], waiting=3, wait_seconds=FOR_EVER)
    taken = room.take()
    order: list[int] = []

    def in_line(number: int) -> bool:
        return len(room._turns) == number

    def wait_in_line(number: int) -> None:
        mine = room.take()
        assert mine is place
        order.append(number)
        room.give_back(mine)

    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=wait_in_line, args=[number]))
        threads[-1].start()
        wait_until(partial(in_line, number + 1), "one more in line")
    assert taken is place
    room.give_back(taken)
    for thread in threads:
        thread.join(timeout=PATIENCE_SECONDS)

    assert order == [0, 1, 2]


def test_who_finds_the_room_full_is_turned_away_at_once(place: Place) -> None:
    room = WaitingRoom([place], waiting=1, wait_seconds=FOR_EVER)
    assert room.take() is place
    with meanwhile(room.take) as waiting:
        wait_until(lambda: room._turns, "somebody in line")
        assert room.take() is None
        room.give_back(place)
        assert waiting.result(timeout=PATIENCE_SECONDS) is place


def test_who_waits_too_long_is_turned_away_and_out_of_the_line(place: Place) -> None:
    room = WaitingRoom([place], waiting=1, wait_seconds=0.01)
    assert room.take() is place
    assert room.take() is None
    room.give_back(place)
    assert room.take() is place


def test_a_place_is_never_lost_nor_taken_twice(place: Place) -> None:
    """Many who give up at the moment in which their turn comes."""
    room = WaitingRoom([place], waiting=8, wait_seconds=0.001)
    at_work = threading.Semaphore(1)

    def visit() -> int:
        served = 0
        for _ in range(200):
            mine = room.take()
            if mine is None:
                continue
            assert at_work.acquire(blocking=False)
            served += 1
            at_work.release()
            room.give_back(mine)
        return served

    assert sum(together([visit] * 8)) > 0
    assert room._free == [place]


def test_threads_share_the_connection_of_their_place(place: Place) -> None:
    room = WaitingRoom([place], waiting=10, wait_seconds=FOR_EVER)

    def ask() -> int:
        mine = room.take()
        assert mine is not None
        try:
            with mine:
                return backend()
        finally:
            room.give_back(mine)

    assert len(set(together([ask] * 5))) == 1


def test_a_thread_without_a_place_has_a_connection_of_its_own(place: Place) -> None:
    def ask() -> tuple[int, int]:
        with place:
            inside = backend()
        return inside, backend()

    [(inside, outside)] = together([ask])
    assert inside != outside


def test_a_request_that_dies_gives_its_place_back(place: Place) -> None:
    def crash(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("the application itself is broken")

    room = WaitingRoom([place], waiting=0, wait_seconds=0)
    with pytest.raises(RuntimeError):
        called(Admission(crash, room), "/api/products")
    assert room._free == [place]


def test_the_connection_is_looked_after_while_the_place_is_held(place: Place) -> None:
    """A connection that the server has ended is replaced at the next request, as without places."""
    application = Admission(WSGIHandler(), WaitingRoom([place], waiting=0, wait_seconds=0))
    assert called(application, "/api/products")[0] == "200 OK"
    ended = place._connections["default"].connection.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s::integer, 5000)", [ended])
    assert called(application, "/api/products?pageSize=3")[0] == "200 OK"


def test_what_is_turned_away_is_told_so_and_fills_no_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    room = WaitingRoom([], waiting=0, wait_seconds=0)
    with growth_of("commerce_turned_away_total") as turned_away:
        status, headers, body = called(Admission(WSGIHandler(), room), "/api/products")
    assert status == "503 Service Unavailable"
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Retry-After"] == "1"
    assert headers["X-Request-ID"]
    assert json.loads(body)["code"] == "service_unavailable"
    assert turned_away.by == 1
    assert "Service Unavailable" not in caplog.text


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_operators_are_let_in_while_customers_wait(path: str, place: Place) -> None:
    room = WaitingRoom([], waiting=0, wait_seconds=0)
    assert called(Admission(WSGIHandler(), room), path)[0] == "200 OK"


def test_nobody_is_turned_away_by_a_header(stranger: Shopper, db: None) -> None:
    assert Client().get("/api/products", headers={TURNED_AWAY: "true"}).status_code == 200
