"""The balancer of the rolling restart: new connections are assigned to ready servers."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from commerce.embedded.ports import LOOPBACK, free_port
from tests.embedded.processes import wait_for
from tests.faults.balancer import Balancer

WITHIN_SECONDS = 20.0


class Server(ThreadingHTTPServer):
    """Responds with its name, and with its readiness."""

    daemon_threads = True
    is_ready = True

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        name = str(self.server.port).encode()
        is_refused = self.path == "/readyz" and not self.server.is_ready
        self.send_response(503 if is_refused else 200)
        self.send_header("Content-Length", str(len(name)))
        self.end_headers()
        self.wfile.write(name)

    def log_message(self, format: str, *args: object) -> None:
        """Not logged."""


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made = [Server((LOOPBACK, 0), Answers) for _ in range(2)]
    for server in made:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.fixture
def balancer(servers: list[Server]) -> Iterator[Balancer]:
    balancer = Balancer(free_port(), [server.port for server in servers])
    wait_for(lambda: all(balancer.is_ready(server.port) for server in servers), limit_seconds=WITHIN_SECONDS)
    yield balancer
    balancer.close()


def asked(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/")
    return int(connection.getresponse().read())


def poll_again(balancer: Balancer) -> int:
    with closing(connect(balancer)) as connection:
        return asked(connection)


def connect(balancer: Balancer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(LOOPBACK, balancer.port, timeout=WITHIN_SECONDS)


def test_both_servers_get_their_turn(balancer: Balancer, servers: list[Server]) -> None:
    assert {poll_again(balancer) for _ in range(4)} == {server.port for server in servers}


def test_a_server_that_is_not_ready_gets_no_new_connection(balancer: Balancer, servers: list[Server]) -> None:
    with closing(connect(balancer)) as one, closing(connect(balancer)) as other:
        first, second = asked(one), asked(other)
        leaving = next(server for server in servers if server.port == first)
        leaving.is_ready = False
        wait_for(lambda: not balancer.is_ready(leaving.port), limit_seconds=WITHIN_SECONDS)
        assert {poll_again(balancer) for _ in range(4)} == {second}
        assert (asked(one), asked(other)) == (first, second)


def test_a_closed_balancer_accepts_no_connections(balancer: Balancer) -> None:
    balancer.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((LOOPBACK, balancer.port), timeout=5)
