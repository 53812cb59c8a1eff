"""Counts the Python calls, SQL statements and Redis commands of a request.

Only counts, never times, so that a busy machine does not matter.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from balances.models import User
from commerce.api.authentication import tokens_for


class Counted:
    """The response, and the qualified names of the called Python functions."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.calls: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.calls.total()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def environ_of(
    method: str, path: str, *, user: User | None = None, body: Any = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The WSGI environment of a request; `headers` have WSGI names."""
    content = b"" if body is None else json.dumps(body).encode()
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
        "HTTP_HOST": "localhost:8000",
        **(headers or {}),
    }
    if body is not None:
        environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(content))}
    if user is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {tokens_for(user_id=user.pk, is_staff=user.is_staff).access}"
    return environ


def counted(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Counted:
    """Handle the request once, and count every Python call."""
    answer = Counted()

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        answer.status, answer.headers = int(status[:3]), dict(headers)

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            answer.calls[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        response = application(environ, start_response)
        answer.body = b"".join(response)
        close = getattr(response, "close", None)
        if close is not None:
            close()
    finally:
        sys.setprofile(None)
    # Calls of the test itself.
    del answer.calls[f"{__name__}.{start_response.__qualname__}"]
    return answer
