"""Requests while a server dies, stops, or has a slow client."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from commerce.embedded.gateway import FILES
from tests.gateway.limits import NO_LIMITS
from tests.gateway.nginx import Address, gateway_before
from tests.gateway.recorder import TOKEN, Recorder
from tests.together import wait_until

WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def gateway(one: Recorder, two: Recorder) -> Iterator[Address]:
    with gateway_before(one.port, two.port, files=NO_LIMITS) as address:
        yield address


def test_both_servers_get_requests(gateway: Address, one: Recorder, two: Recorder) -> None:
    for number in range(10):
        requests.get(f"{gateway.url}/api/products/{number}", timeout=30)
    assert len(one.requests()) == len(two.requests()) == 5


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("GET", 2)])
def test_a_post_is_not_retried_if_its_server_dies(
    gateway: Address, one: Recorder, two: Recorder, method: str, times: int
) -> None:
    answer = requests.request(method, f"{gateway.url}/api/broken", headers=WITH_TOKEN, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert len(one.requests() + two.requests()) == times


def test_a_post_goes_to_the_other_server_if_one_is_unreachable(one: Recorder, closed_port: int) -> None:
    with gateway_before(closed_port, one.port, files=NO_LIMITS) as gateway:
        statuses = [
            requests.post(f"{gateway.url}/api/auth/token", data=b"{}", timeout=30).status_code for _ in range(10)
        ]
    assert statuses == [200] * 10
    assert len(one.requests()) == 10


def test_a_stopping_server_gets_no_more_requests(gateway: Address, one: Recorder, two: Recorder) -> None:
    one.ending = True
    for number in range(20):
        bearer = {"Authorization": f"Bearer {TOKEN}-{number}"}
        assert requests.post(f"{gateway.url}/api/orders", data=b"{}", headers=bearer, timeout=30).status_code == 200
    # One request before the failure was known, and one as a probe after three seconds.
    assert len(one.requests()) <= 2
    assert len(one.verdicts()) <= 3
    assert len(two.requests()) >= 18


def test_if_all_servers_are_stopping_they_keep_serving(gateway: Address, one: Recorder, two: Recorder) -> None:
    one.ending = two.ending = True
    statuses = [
        requests.post(f"{gateway.url}/api/orders", data=b"{}", headers=WITH_TOKEN, timeout=30).status_code
        for _ in range(5)
    ]
    assert statuses == [200] * 5
    assert len(one.requests() + two.requests()) == 5


def test_a_slow_body_ends_at_the_gateway(one: Recorder, two: Recorder) -> None:
    with ExitStack() as stack:
        impatient = (FILES / "server.conf").read_text().replace("client_body_timeout 10s;", "client_body_timeout 1s;")
        files = {**NO_LIMITS, "server.conf": impatient}
        gateway = stack.enter_context(gateway_before(one.port, two.port, files=files))
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60))
        slow.sendall(b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert requests.get(f"{gateway.url}/api/products/1", timeout=30).status_code == 200
        assert [asked.method for asked in one.requests() + two.requests()] == ["GET"]
        # It times out after a second, here without a byte.
        assert slow.recv(100) == b""
    assert [asked.method for asked in one.requests() + two.requests()] == ["GET"]


def test_a_body_that_arrives_in_pieces_reaches_a_server_whole(gateway: Address, one: Recorder, two: Recorder) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as slow:
        slow.sendall(b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"1\r\n{\r\n", b"1\r\n}\r\n"):
            slow.sendall(piece)
            assert one.requests() + two.requests() == []
        slow.sendall(b"0\r\n\r\n")
        wait_until(lambda: bool(one.requests() + two.requests()), "the request to arrive")
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
    [asked] = one.requests() + two.requests()
    assert (asked.body, asked.headers["content-length"]) == (b"{}", "2")
