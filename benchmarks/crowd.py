"""Simultaneous requests: sends all but the last byte of each request, then the last bytes of all.

The caller defines the requests and checks the responses.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.errors import BenchmarkFailed

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. `kind`: the key by which responses are counted."""

    kind: str
    method: str
    path: str
    token: str
    key: str = ""
    body: bytes = b""

    def message(self, port: int) -> bytes:
        """The bytes to send; the server closes the connection afterwards."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            f"Authorization: Bearer {self.token}",
            "Connection: close",
            *([f"Idempotency-Key: {self.key}"] if self.key else []),
            *(["Content-Type: application/json"] if self.body else []),
            *([f"Content-Length: {len(self.body)}"] if self.method == "POST" else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The response to a request; status 0 if there was none."""

    kind: str
    status: int
    milliseconds: float
    body: bytes = b""


def all_at_once(port: int, requests: Sequence[Request]) -> list[Reply]:
    """Send all requests simultaneously and return the replies in the same order.

    The wait is measured from the time before the first last byte is sent. Raises BenchmarkFailed if a client cannot
    connect.
    """
    return asyncio.run(_all_at_once(port, requests))


async def _all_at_once(port: int, requests: Sequence[Request]) -> list[Reply]:
    try:
        connections = await asyncio.gather(*(_held_back(port, request) for request in requests))
    except OSError as error:
        raise BenchmarkFailed(f"{len(requests)} clients cannot connect at one time: {error}") from error
    # The server has read the data that was sent so far.
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    for (_reader, writer), request in zip(connections, requests, strict=True):
        writer.write(request.message(port)[-1:])
    return list(
        await asyncio.gather(
            *(
                _reply(reader, writer, request.kind, began)
                for (reader, writer), request in zip(connections, requests, strict=True)
            )
        )
    )


async def _held_back(port: int, request: Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.message(port)[:-1])
    await writer.drain()
    return reader, writer


async def _reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str, began: float) -> Reply:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            content = await reader.read(-1)
    except (OSError, TimeoutError):
        content = b""
    finally:
        writer.close()
    waited = (time.perf_counter() - began) * 1_000
    head, _, body = content.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Reply(kind=kind, status=status, milliseconds=waited, body=body)
