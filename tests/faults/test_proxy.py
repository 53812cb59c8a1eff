"""The proxy of the fault harness: each of its modes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.proxy import Proxy, _Pair
from tests.together import wait_until

LIMIT_SECONDS = 10.0


class Echo:
    """An echo server that stores what it receives."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while piece := connection.recv(1_000):
                self.heard.append(piece)
                connection.sendall(piece)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as server:
        yield server


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with closing(Proxy("127.0.0.1", echo.port)) as between:
        yield between


@contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=LIMIT_SECONDS) as client:
        yield client


def asked(client: socket.socket, question: bytes) -> bytes:
    client.sendall(question)
    return client.recv(1_000)


def test_passes_bytes_both_ways(proxy: Proxy) -> None:
    with connected(proxy) as client:
        assert asked(client, b"hello") == b"hello"
        assert asked(client, b"again") == b"again"


def test_cut_resets_what_is_there_and_lets_new_connections_in(proxy: Proxy) -> None:
    with connected(proxy) as client:
        assert asked(client, b"hello") == b"hello"
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            assert client.recv(1) != b""
    with connected(proxy) as client:
        assert asked(client, b"hello") == b"hello"


def test_refuse_resets_new_connections_too_until_it_passes_on(proxy: Proxy) -> None:
    proxy.refuse()
    # As early as in connect(), or at the first byte that is read.
    with pytest.raises(ConnectionError), connected(proxy) as client:
        asked(client, b"hello")
    proxy.pass_on()
    with connected(proxy) as client:
        assert asked(client, b"hello") == b"hello"


def test_stall_takes_everything_and_passes_it_on_afterwards(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as client:
        assert asked(client, b"first") == b"first"
        proxy.stall()
        client.sendall(b"second")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert echo.heard == [b"first"]
        proxy.pass_on()
        client.settimeout(LIMIT_SECONDS)
        assert client.recv(1_000) == b"second"


def test_the_answer_to_a_marked_request_is_lost_once(proxy: Proxy, echo: Echo) -> None:
    proxy.lose_answer_to(b"COMMIT")
    with connected(proxy) as client:
        assert asked(client, b"BEGIN") == b"BEGIN"
        client.sendall(b"COMMIT")
        with pytest.raises(ConnectionResetError):
            assert client.recv(1) != b""
    wait_until(lambda: proxy.answers_lost == 1, "the answer to be lost")
    assert echo.heard == [b"BEGIN", b"COMMIT"]
    with connected(proxy) as client:
        assert asked(client, b"COMMIT") == b"COMMIT"
    assert proxy.answers_lost == 1


def test_the_answer_to_a_prepared_statement_is_lost_as_well(proxy: Proxy) -> None:
    prepare = b"P\0\0\0\x12s7\0COMMIT\0\0\0S\0\0\0\x04"
    run = b"B\0\0\0\x0f\0s7\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
    with connected(proxy) as client, connected(proxy) as another:
        assert asked(client, prepare) == prepare
        proxy.lose_answer_to(b"COMMIT")
        # Another statement has this name there.
        assert asked(another, run) == run
        client.sendall(run)
        with pytest.raises(ConnectionResetError):
            assert client.recv(1) != b""
    wait_until(lambda: proxy.answers_lost == 1, "the answer to be lost")


def test_a_request_that_is_too_small_keeps_its_answer(proxy: Proxy) -> None:
    proxy.lose_answer_to(b"COMMIT", bytes_at_least=10)
    with connected(proxy) as client:
        assert asked(client, b"COMMIT") == b"COMMIT"
        client.sendall(b"INSERT; COMMIT")
        with pytest.raises(ConnectionResetError):
            assert client.recv(1) != b""
    wait_until(lambda: proxy.answers_lost == 1, "the answer to be lost")


def test_drip_passes_an_answer_byte_by_byte(proxy: Proxy) -> None:
    proxy.drip(0.001)
    with connected(proxy) as client:
        client.sendall(b"hello")
        pieces = [client.recv(1_000)]
        while sum(map(len, pieces)) < 5:
            pieces.append(client.recv(1_000))
    assert b"".join(pieces) == b"hello"
    assert len(pieces) > 1


def test_leads_new_connections_to_another_server_until_it_passes_on(proxy: Proxy, echo: Echo) -> None:
    with closing(Echo()) as other, connected(proxy) as before:
        assert asked(before, b"first") == b"first"
        proxy.lead_to("127.0.0.1", other.port)
        with connected(proxy) as astray:
            assert asked(astray, b"second") == b"second"
        assert (echo.heard, other.heard) == ([b"first"], [b"second"])
        proxy.pass_on()
        with connected(proxy) as home:
            assert asked(home, b"third") == b"third"
        assert echo.heard == [b"first", b"third"]


def test_a_reset_at_the_end_of_its_connection_reaches_the_server() -> None:
    """One thread resets the pair while another one closes it, and a third one reads from the server."""
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(listener), socket.create_connection(listener.getsockname()) as to_server:
        at_server, _ = listener.accept()
        other, client = socket.socketpair()
        with closing(at_server), closing(other), closing(client):
            pair = _Pair(client, to_server)
            reader = threading.Thread(target=_read_to_the_end, args=(to_server,))
            reader.start()
            wait_until(lambda: _is_asleep(reader), "the reader to read")
            pair._was_reset = True
            pair.close()
            at_server.settimeout(LIMIT_SECONDS)
            with suppress(ConnectionResetError):
                assert at_server.recv(1) == b""
            reader.join(LIMIT_SECONDS)


def _read_to_the_end(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(1):
            pass


def _is_asleep(thread: threading.Thread) -> bool:
    state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text(encoding="ascii")
    return state.rsplit(")", 1)[1].split()[0] == "S"
