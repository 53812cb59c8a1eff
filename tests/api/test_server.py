"""The ASGI application of the web process: requests from the web server, and responses to it."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from commerce.core import waiting
from commerce.server.application import Server, environ_of
from commerce.server.bodies import REFUSAL, BodyCutShort
from commerce.server.dispatch import PROBES, may_block
from tests.together import PATIENCE_SECONDS

LARGEST_BODY_BYTES = 10


def scope_of(path: str = "/api/x", *, headers: Iterable[tuple[bytes, bytes]] = (), method: str = "POST") -> Any:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"a=1",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.9", 5),
        "headers": list(headers),
    }


def length(number: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", b"%d" % number)]


def answers(application: Callable[..., Any], *requests: tuple[Any, list[Any]]) -> list[list[Any]]:
    """The messages of the server for simultaneous requests, each given as its scope and its messages."""
    server = Server(application, may_block=may_block, probes=PROBES, threads=2, largest_body_bytes=LARGEST_BODY_BYTES)

    async def one(scope: Any, messages: list[Any]) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await server(scope, receive, send)
        return sent

    async def all_of_them() -> list[list[Any]]:
        found = asyncio.gather(*(one(*request) for request in requests))
        return await asyncio.wait_for(found, PATIENCE_SECONDS)

    return asyncio.run(all_of_them())


def part(body: bytes, *, more: bool = False) -> Any:
    return {"type": "http.request", "body": body, "more_body": more}


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("X-Refusal", type(environ.get(REFUSAL)).__name__)])
    return [environ["wsgi.input"].read()]


def test_a_response_has_content_length_and_lower_case_names() -> None:
    [[start, body]] = answers(echo, (scope_of(headers=length(5)), [part(b"he", more=True), part(b"llo")]))
    assert start["status"] == 200
    assert start["headers"] == [(b"x-refusal", b"NoneType"), (b"content-length", b"5")]
    assert body["body"] == b"hello"


@pytest.mark.parametrize(
    "messages",
    [[{"type": "http.disconnect"}], [part(b"he", more=True), {"type": "http.disconnect"}]],
    ids=["at once", "in the middle"],
)
def test_a_body_that_ends_early_is_refused(messages: list[Any]) -> None:
    [[start, _]] = answers(echo, (scope_of(headers=length(5)), messages))
    assert (b"x-refusal", BodyCutShort.__name__.encode()) in start["headers"]


def test_a_body_with_a_too_large_content_length_is_not_read() -> None:
    never_taken = [part(b"x")]
    answers(echo, (scope_of(headers=length(LARGEST_BODY_BYTES + 1)), never_taken))
    assert never_taken


def test_a_large_body_is_read_by_a_thread_as_it_arrives() -> None:
    size = LARGEST_BODY_BYTES + 8

    def read(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(4), environ["wsgi.input"].read(size - 4)]

    parts = [part(b"abcdef", more=True), part(b"ghijkl", more=True), part(b"mnopqr")]
    [[_, body]] = answers(read, (scope_of("/admin/", headers=length(size)), parts))
    assert body["body"] == b"abcdefghijklmnopqr"


def test_a_large_body_that_ends_early_is_an_error_of_the_reader() -> None:
    def read(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        with pytest.raises(OSError, match="ended before"):
            environ["wsgi.input"].read(LARGEST_BODY_BYTES + 8)
        start_response("200 OK", [])
        return []

    parts = [part(b"abcdef", more=True), {"type": "http.disconnect"}]
    [[start, _]] = answers(read, (scope_of("/admin/", headers=length(LARGEST_BODY_BYTES + 8)), parts))
    assert start["status"] == 200


def test_a_chunked_body_is_read_up_to_the_limit() -> None:
    chunks = [part(b"x" * 8, more=True), part(b"x" * 8, more=True), part(b"x" * 8, more=True)]
    read: list[str] = []

    def note(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        read.append(environ["CONTENT_LENGTH"])
        return echo(environ, start_response)

    answers(note, (scope_of(headers=[(b"transfer-encoding", b"chunked")]), chunks))
    assert (read, len(chunks)) == (["16"], 1)


def test_after_a_500_the_next_request_is_answered() -> None:
    def fail_first(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/api/fail":
            raise RuntimeError("the application itself is broken")
        return echo(environ, start_response)

    [[failed, _], [well, _]] = answers(fail_first, (scope_of("/api/fail"), []), (scope_of(), []))
    assert (failed["status"], well["status"]) == (500, 200)


def test_a_waiting_api_request_does_not_block_the_next() -> None:
    order: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/api/slow":
            waiting.sleep(0.02)
        order.append(environ["PATH_INFO"])
        return echo(environ, start_response)

    answers(application, (scope_of("/api/slow"), []), (scope_of("/api/quick"), []))
    assert order == ["/api/quick", "/api/slow"]


@pytest.mark.parametrize("path", ["/admin/", "/readyz", "/metrics", "/static/a.css", "/api/schema", "/nothing"])
def test_blocking_paths_run_in_a_thread(path: str) -> None:
    may_go_on = threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == path:
            assert may_go_on.wait(PATIENCE_SECONDS)
        else:
            may_go_on.set()
        return echo(environ, start_response)

    statuses = [start["status"] for start, _ in answers(application, (scope_of(path), []), (scope_of("/livez"), []))]
    assert statuses == [200, 200]


def test_a_probe_does_not_wait_for_back_office_pages() -> None:
    answered = threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/admin/":
            assert answered.wait(PATIENCE_SECONDS)
        else:
            answered.set()
        return echo(environ, start_response)

    # Both threads for pages are busy.
    requests: list[tuple[Any, list[Any]]] = [(scope_of(path), []) for path in ("/admin/", "/admin/", "/readyz")]
    assert [start["status"] for start, _ in answers(application, *requests)] == [200, 200, 200]


def test_the_environment_conforms_to_wsgi() -> None:
    headers = [
        *((b"host", b"shop"), (b"content-type", b"text/plain"), (b"x-two", b"a"), (b"x-two", b"b")),
        (b"idempotency-key", b"\xff"),
    ]
    environ = environ_of(scope_of("/a b/\N{HANGUL SYLLABLE GA}", headers=headers, method="GET"))
    environ.pop("wsgi.input")
    assert environ == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\N{HANGUL SYLLABLE GA}".encode().decode("latin-1"),
        "QUERY_STRING": "a=1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.9",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "shop",
        "CONTENT_TYPE": "text/plain",
        "HTTP_X_TWO": "a,b",
        "HTTP_IDEMPOTENCY_KEY": "\xff",
    }
