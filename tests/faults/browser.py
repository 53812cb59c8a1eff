"""A staff member in the back-office, over real HTTP: a login, a session, forms with their tokens.

Contains the cookies of one session. Its requests are not recorded in the history.
"""

import http.client
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import TypeVar
from urllib.parse import urlencode

from balances.models import User
from commerce.embedded.ports import LOOPBACK
from tests.factories import StaffFactory
from tests.faults.caller import CLIENT_SECONDS
from tests.web_forms import fields_of

T = TypeVar("T")

PASSWORD = "tangerine-4711"


class Page:
    """The response: the status, the target of a redirect, and the fields of the page's forms."""

    def __init__(self, status: int, location: str, content: str) -> None:
        self.status = status
        self.location = location
        self.content = content

    @property
    def fields(self) -> dict[str, str]:
        """All named fields, with the values that would be submitted."""
        return fields_of(self.content)


class Browser:
    """A superuser who is logged in to the back-office."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}
        self.user: User = StaffFactory(is_superuser=True, password=PASSWORD)
        page = self.get("/admin/login/")
        answer = self.post("/admin/login/", page, username=self.user.username, password=PASSWORD)
        assert answer.status == 302, f"{self.user.username} could not log in: {answer.status}"

    def get(self, path: str) -> Page:
        return self._send("GET", path)

    def post(self, path: str, opened: Page, /, **values: str) -> Page:
        """Submit the form of an opened page, with these values replacing those of the page."""
        fields = {**opened.fields, **values}
        return self._send("POST", path, urlencode(fields).encode())

    def _send(self, method: str, path: str, body: bytes | None = None) -> Page:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Referer"] = f"http://{LOOPBACK}:{self._port}{path}"
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=CLIENT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or ():
                self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(cookie).items()}
            content = answer.read().decode(errors="replace")
            return Page(answer.status, answer.headers.get("Location", ""), content)
        finally:
            connection.close()


def at_once(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Run all actions at the same time, each on its own thread; returns their results in order."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], T]) -> T:
        start.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))
