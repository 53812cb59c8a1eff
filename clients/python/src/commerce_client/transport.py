"""Sends requests with retries and a valid token.

A request is only retried if that is safe: reads, requests with an `Idempotency-Key`, and requests refused by a limit.
"""

import json
import random
import threading
from collections.abc import Callable, Generator, Mapping

import httpx

_SAFE = ("GET", "HEAD")
_TOO_MANY, _CONFLICT, _UNAUTHORIZED = 429, 409, 401


class Retries(httpx.BaseTransport):
    """Retries temporary failures after `Retry-After`, or otherwise after 0.5, 1, 2, 4 … seconds, randomly shortened.

    Args:
        tries: how often a request is sent at most.
        longest_wait_seconds: a longer `Retry-After` is not waited for.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        *,
        tries: int,
        longest_wait_seconds: float,
        sleep: Callable[[float], None],
    ) -> None:
        self._transport = transport
        self._tries = tries
        self._longest_wait_seconds = longest_wait_seconds
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.TransportError if there is no response."""
        for attempt in range(1, self._tries):
            wait_seconds = min(0.5 * 2 ** (attempt - 1), self._longest_wait_seconds) * random.uniform(0.5, 1)
            try:
                response = self._transport.handle_request(request)
            except httpx.TransportError:
                if not _may_repeat(request):
                    raise
            else:
                if not _may_pass(request, response):
                    return response
                wait_seconds = retry_after_seconds(response.headers) or wait_seconds
                if wait_seconds > self._longest_wait_seconds:
                    return response
                response.close()
            self._sleep(wait_seconds)
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


def retry_after_seconds(headers: Mapping[str, str]) -> int | None:
    """`Retry-After` in seconds; None if it is missing or invalid."""
    value = headers.get("Retry-After", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _may_repeat(request: httpx.Request) -> bool:
    return request.method in _SAFE or "Idempotency-Key" in request.headers


def _may_pass(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether the same request may succeed later and can safely be sent again."""
    if response.status_code == _TOO_MANY:
        return True
    if response.status_code == _CONFLICT:
        return code_of(response) == "request_in_progress"
    return response.status_code >= 500 and _may_repeat(request)


def code_of(response: httpx.Response) -> str:
    """The code of a problem; empty for other responses."""
    response.read()
    try:
        return str(json.loads(response.content)["code"])
    except (ValueError, KeyError, TypeError):
        return ""


class Login(httpx.Auth):
    """Logs in when a token is first needed, and renews it when the shop refuses it. Can be shared by threads."""

    requires_response_body = True

    def __init__(self, base_url: str, username: str, password: str, otp: str | None = None) -> None:
        self._token_url = f"{base_url}/api/auth/token"
        self._login = {"username": username, "password": password} | ({"otp": otp} if otp else {})
        self._guard = threading.Lock()
        self._access = self._refresh = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yields the requests to send to httpx, one by one; the caller gets the last response."""
        used = self._access
        if not used:
            refused = yield from self._renew("")
            if refused is not None:
                return
            used = self._access
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == _UNAUTHORIZED and code_of(response) == "token_not_valid":
            yield from self._renew(used)
            request.headers["Authorization"] = f"Bearer {self._access}"
            yield request

    def _renew(self, used: str) -> Generator[httpx.Request, httpx.Response, httpx.Response | None]:
        """Replace the token `used`, unless another thread has done so. Returns the response of a refusal, if any."""
        with self._guard:
            if self._access != used:
                return None
            if self._refresh:
                response = yield self._post(f"{self._token_url}/refresh", {"refresh": self._refresh})
                if response.status_code == httpx.codes.OK:
                    self._access = str(response.json()["access"])
                    return None
            response = yield self._post(self._token_url, self._login)
            if response.status_code != httpx.codes.OK:
                return response
            tokens = response.json()
            self._access, self._refresh = str(tokens["access"]), str(tokens["refresh"])
            return None

    def _post(self, url: str, body: dict[str, str]) -> httpx.Request:
        return httpx.Request("POST", url, json=body)
