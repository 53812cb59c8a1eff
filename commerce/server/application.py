"""The ASGI application of the web process: each API request runs in a task of the event loop, all others in a thread.

It adapts requests and responses between the web server (ASGI) and the WSGI application of `commerce.wsgi`, which runs
unchanged in a task or a thread.

An API request computes little and waits a lot, so one thread serves all of them without contention for the GIL. Pages
of the back-office, files and probes may compute or block for long.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader, BytesIO, RawIOBase
from typing import Any

from commerce.core.waiting import Tasks
from commerce.server.bodies import REFUSAL, BodyCutShort
from commerce.server.headers import environ_name

logger = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

_PROBES_AT_ONCE = 4
_WITHOUT_BODY = ("204", "304")
_CANNOT_ANSWER: Answer = (500, [(b"content-type", b"text/plain")], b"Internal server error\n")


class Server:
    """An ASGI application that runs a WSGI application."""

    def __init__(
        self,
        application: Wsgi,
        *,
        may_block: Callable[[str], bool],
        probes: Collection[str],
        threads: int,
        largest_body_bytes: int,
    ) -> None:
        """
        Args:
            may_block: whether requests to a path are handled in a thread.
            probes: paths among them with their own threads, so that they do not wait for other requests.
            threads: how many of these requests run at the same time; others wait.
            largest_body_bytes: a larger body is only read by an application in a thread, while it arrives.
        """
        self._application = application
        self._may_block = may_block
        self._probes = probes
        self._threads_of_probes = ThreadPoolExecutor(_PROBES_AT_ONCE, thread_name_prefix="probe")
        self._threads = threads
        self._largest_body_bytes = largest_body_bytes
        self._tasks: Tasks | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if self._tasks is None:
            self._tasks = self._start()
        environ = environ_of(scope)
        may_block = self._may_block(scope["path"])
        if int(environ.get("CONTENT_LENGTH") or 0) > self._largest_body_bytes:
            # Tasks do not read such a body, so it is refused.
            if may_block:
                environ["wsgi.input"] = BufferedReader(LargeBody(receive, self._tasks.loop))
        elif "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            await self._read_body(environ, receive)
        if may_block:
            threads = self._threads_of_probes if scope["path"] in self._probes else None
            status, headers, body = await self._tasks.loop.run_in_executor(threads, self._answer, environ)
        else:
            status, headers, body = await self._answer_in_task(self._tasks, environ)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _start(self) -> Tasks:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(self._threads, thread_name_prefix="blocking"))
        return Tasks(loop)

    async def _answer_in_task(self, tasks: Tasks, environ: dict[str, Any]) -> Answer:
        answers: list[Answer] = []
        waiting: list[Future[None]] = []

        def job() -> None:
            answers.append(self._answer(environ))
            for future in waiting:
                future.set_result(None)

        tasks.run(job)
        if not answers:
            waiting.append(tasks.loop.create_future())
            await waiting[0]
        return answers[0]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            started[:] = [(status, headers)]

        try:
            body = b"".join(self._application(environ, start_response))
            [(status, headers)] = started
        except Exception:
            logger.exception("The application failed.")
            return _CANNOT_ANSWER
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if status[:3] not in _WITHOUT_BODY:
            encoded.append((b"content-length", b"%d" % len(body)))
        return int(status[:3]), encoded, body

    async def _read_body(self, environ: dict[str, Any], receive: Receive) -> None:
        """Read the body before the request is handled, so that a slow client holds no thread and no connection."""
        body = b""
        is_whole = False
        while not is_whole and len(body) <= self._largest_body_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message["body"]
            is_whole = not message["more_body"]
        if not is_whole:
            environ[REFUSAL] = BodyCutShort()
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = BytesIO(body)


class LargeBody(RawIOBase):
    """A body that a thread reads while it is arriving."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._unread = b""
        self._more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises OSError if the connection ends before the body."""
        while self._more and not self._unread:
            message = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("The connection ended before the body did.")
            self._unread, self._more = message["body"], message["more_body"]
        count = min(len(buffer), len(self._unread))
        buffer[:count], self._unread = self._unread[:count], self._unread[count:]
        return count

    async def _next(self) -> Any:
        return await self._receive()


def environ_of(scope: Any) -> dict[str, Any]:
    """The WSGI environment of a request, without its body."""
    path = scope["path"]
    server_name, server_port = scope["server"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        # WSGI represents each byte of UTF-8 as one character.
        "PATH_INFO": path if path.isascii() else path.encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
    }
    for header, value in scope["headers"]:
        name, text = environ_name(header), value.decode("latin-1")
        environ[name] = f"{environ[name]},{text}" if name in environ else text
    return environ
