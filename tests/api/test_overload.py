"""More requests than a web process has database connections: waiting, refusals, and reuse of connections."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import InternalError, OperationalError, connection
from django.test import RequestFactory
from pytest_django import Settings

from commerce.core.postgresql.base import give_back_connections, long_statements
from commerce.core.postgresql.shared import NoConnectionFree, SharedConnections, shared_by_requests
from commerce.server.admission import SharingConnections
from tests.breaking import growth_of
from tests.together import PATIENCE_SECONDS, meanwhile, together, wait_until

FOR_EVER = PATIENCE_SECONDS


@pytest.fixture
def shared(transactional_db: None) -> Iterator[SharedConnections]:
    shared = SharedConnections(1, waiting=3, wait_seconds=FOR_EVER)
    yield shared
    shared.close()


def backend() -> int:
    """The process id of the PostgreSQL backend of the thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def called(application: Any, path: str) -> tuple[str, dict[str, str], bytes]:
    """The response of the application, called in a separate thread as by a web server."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    environ = RequestFactory().get(path).environ

    def call() -> bytes:
        return b"".join(application(environ, lambda status, headers: started.append((status, headers))))

    [body] = together([call])
    [(status, headers)] = started
    return status, dict(headers), body


def test_the_longest_waiting_request_is_next(shared: SharedConnections) -> None:
    taken = shared.take()
    order: list[int] = []

    def in_line(number: int) -> bool:
        return len(shared._turns) == number

    def wait_in_line(number: int) -> None:
        mine = shared.take()
        assert mine is taken
        order.append(number)
        shared.give_back(mine)

    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=wait_in_line, args=[number]))
        threads[-1].start()
        wait_until(partial(in_line, number + 1), "one more in line")
    shared.give_back(taken)
    for thread in threads:
        thread.join(timeout=PATIENCE_SECONDS)

    assert order == [0, 1, 2]


def test_a_full_queue_refuses_the_next_request_at_once() -> None:
    shared = SharedConnections(1, waiting=1, wait_seconds=FOR_EVER)
    slot = shared.take()
    with meanwhile(shared.take) as waiting:
        wait_until(lambda: shared._turns, "somebody in line")
        with pytest.raises(NoConnectionFree):
            shared.take()
        shared.give_back(slot)
        assert waiting.result(timeout=PATIENCE_SECONDS) is slot


def test_a_wait_beyond_the_limit_is_refused_and_leaves_the_queue() -> None:
    shared = SharedConnections(1, waiting=1, wait_seconds=0.01)
    slot = shared.take()
    with pytest.raises(NoConnectionFree):
        shared.take()
    shared.give_back(slot)
    assert shared.take() is slot


def test_a_slot_is_never_lost_or_used_twice() -> None:
    """Many requests give up at the same time as a slot is handed to them."""
    shared = SharedConnections(1, waiting=8, wait_seconds=0.001)
    at_work = threading.Semaphore(1)

    def visit() -> int:
        served = 0
        for _ in range(200):
            try:
                mine = shared.take()
            except NoConnectionFree:
                continue
            assert at_work.acquire(blocking=False)
            served += 1
            at_work.release()
            shared.give_back(mine)
        return served

    assert sum(together([visit] * 8)) > 0
    assert len(shared._free) == 1


def test_requests_share_a_connection(shared: SharedConnections) -> None:
    def ask() -> int:
        with shared_by_requests(shared, give_back_connections):
            return backend()

    assert len(set(together([ask] * 5, at_once=3))) == 1


def test_a_request_without_queries_holds_no_connection(shared: SharedConnections) -> None:
    with shared_by_requests(shared, give_back_connections):
        assert len(shared._free) == 1


def test_a_thread_without_a_request_has_its_own_connection(shared: SharedConnections) -> None:
    def ask() -> tuple[int, int]:
        with shared_by_requests(shared, give_back_connections):
            inside = backend()
        return inside, backend()

    [(inside, outside)] = together([ask])
    assert inside != outside


def test_an_open_transaction_does_not_leak_into_the_next_request(shared: SharedConnections) -> None:
    def leave_open() -> int:
        with shared_by_requests(shared, give_back_connections):
            connection.set_autocommit(False)
            return backend()

    def ask() -> tuple[int, bool]:
        with shared_by_requests(shared, give_back_connections):
            return backend(), connection.get_autocommit()

    [left] = together([leave_open])
    [(backend_id, autocommit)] = together([ask])
    assert backend_id != left
    assert autocommit


def test_a_failed_connection_is_not_reused(shared: SharedConnections) -> None:
    """Its server may have become a standby."""

    def fail() -> int:
        with shared_by_requests(shared, give_back_connections):
            used = backend()
            with pytest.raises(InternalError), connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction'; END $$")
            return used

    def ask() -> int:
        with shared_by_requests(shared, give_back_connections):
            return backend()

    [failed_on] = together([fail])
    assert together([ask]) != [failed_on]


def test_a_crashed_request_returns_its_connection(shared: SharedConnections) -> None:
    def crash(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        backend()
        raise RuntimeError("the application itself is broken")

    with pytest.raises(RuntimeError):
        called(SharingConnections(crash, shared), "/api/products")
    assert len(shared._free) == 1


def test_a_connection_closed_by_the_server_is_replaced(shared: SharedConnections) -> None:
    application = SharingConnections(WSGIHandler(), shared)
    assert called(application, "/api/products")[0] == "200 OK"
    ended = shared._free[0].connection.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s::integer, 5000)", [ended])
    assert called(application, "/api/products?pageSize=3")[0] == "200 OK"


def test_waiting_for_postgresql_is_limited(shared: SharedConnections, settings: Settings) -> None:
    settings.DATABASE_ANSWER_SECONDS = 0.2

    def sleep() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")

    def ask() -> int:
        with shared_by_requests(shared, give_back_connections):
            with pytest.raises(OperationalError, match="did not answer"):
                sleep()
            connection.close()
            return backend()

    assert together([ask])[0] > 0
    # Commands, tests and pages with `long_statements` have no time limit.
    sleep()

    def ask_patiently() -> None:
        with shared_by_requests(shared, give_back_connections), long_statements():
            sleep()

    together([ask_patiently])


def test_a_refused_request_is_a_503_without_a_log_line(
    transactional_db: None, caplog: pytest.LogCaptureFixture
) -> None:
    application = SharingConnections(WSGIHandler(), SharedConnections(0, waiting=0, wait_seconds=0))
    with growth_of("commerce_turned_away_total") as turned_away:
        status, headers, body = called(application, "/api/products")
    assert status == "503 Service Unavailable"
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Retry-After"] == "2"
    assert headers["X-Request-ID"]
    assert json.loads(body)["code"] == "service_unavailable"
    assert turned_away.by == 1
    assert "Service Unavailable" not in caplog.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_are_answered_while_requests_wait(path: str, transactional_db: None) -> None:
    application = SharingConnections(WSGIHandler(), SharedConnections(0, waiting=0, wait_seconds=0))
    assert called(application, path)[0] == "200 OK"
