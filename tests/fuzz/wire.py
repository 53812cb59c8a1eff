"""HTTP without a library: requests that libraries do not send, and their responses.

Sends and receives raw bytes.
"""

import json
import socket
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from tests.fuzz.web_server import WebServer


@dataclass(frozen=True)
class WireAnswer:
    """A response; if the server could not parse the request, it has only a status."""

    status: int
    content_type: str
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def outcome(self) -> tuple[int, str | None]:
        """The status and, for a problem, its code."""
        problem = self.content_type == "application/problem+json"
        return self.status, self.json["code"] if problem else None


def request_bytes(
    method: str, path: str, *headers: str, token: str = "", body: bytes = b"", length: object = None
) -> bytes:
    """A request. `length` is the value of Content-Length: None for the correct one, empty for no header."""
    lines = [f"{method} {path} HTTP/1.1", "Host: shop", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body or length is not None:
        lines.append("Content-Type: application/json")
    if body and length is None:
        length = len(body)
    if length not in (None, ""):
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def exchange(web: WebServer, sent: bytes, *, end: bool = False) -> WireAnswer:
    """Send the bytes on a new connection and read one response; `end` closes the sending side."""
    with web.connect() as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read_answer(connection, head_only=sent.startswith(b"HEAD "))


def read_answers(connection: socket.socket) -> list[tuple[int, Any]]:
    """Status and JSON of all responses until the server closes the connection."""
    received = b"".join(iter(lambda: connection.recv(65_536), b""))
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        answers.append((int(head.split()[1]), json.loads(rest[:length])))
        received = rest[length:]
    return answers


def read_answer(connection: socket.socket, *, head_only: bool = False) -> WireAnswer:
    """The next response on the connection."""
    with closing(HTTPResponse(connection, method="HEAD" if head_only else "GET")) as response:
        response.begin()
        content = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return WireAnswer(response.status, headers.get("content-type", ""), headers, content)
