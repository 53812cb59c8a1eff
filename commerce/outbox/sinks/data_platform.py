"""The sink of the data platform: one signed POST per event, with a total deadline."""

import hashlib
import hmac
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, ClassVar

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from commerce.core.tracing import TRACEPARENT
from commerce.outbox.breaker import Breaker
from commerce.outbox.routes import DATA_PLATFORM
from commerce.outbox.sinks.answers import Clock, retry_after_seconds
from commerce.outbox.sinks.base import Acknowledged, Failure, Message, Outcome, Outcomes
from commerce.outbox.sinks.deadline import SocketDeadline, sockets_shut_after, watched

CONTENT_TYPE = "application/cloudevents+json"
_CALLS_AT_ONCE = 8
_SHOWN_ANSWER_BYTES = 300
_GRACE_SECONDS = 0.05
"""After its sockets are closed at the deadline, a call has this long to return its outcome."""
# With these statuses the platform works; with any other failure the next message would fail as well.
_ABOUT_THE_MESSAGE = {400, 409, 413, 415, 422}

# A partner's malformed headers are reported in the outcome; urllib3 would log a traceback for each.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class _NotTried(Exception):
    """All threads were busy until the deadline."""


def signature(secrets: Sequence[str], body: bytes, *, sent_at: int) -> str:
    """The `X-Signature` header of `body`, sent at `sent_at` (Unix seconds): one `v1` for each secret, in their order.

    docs/data-platform.md shows how to verify it.
    """
    signed = f"{sent_at}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={sent_at}", *(f"v1={digest}" for digest in digests)])


class DataPlatformSink:
    """Sends each event by itself, several concurrently, because no order is guaranteed."""

    keeps_order: ClassVar[bool] = False
    parks: ClassVar[bool] = True
    # A partner that hangs then delays a batch by two deadlines at most.
    largest_batch: ClassVar[int] = 2 * _CALLS_AT_ONCE
    longest_wait_seconds: ClassVar[float] = 60.0

    def __init__(self) -> None:
        self.breaker: Breaker | None = _breaker()
        self._guard = threading.Lock()
        self._callers: dict[int, _Caller] = {}
        os.register_at_fork(after_in_child=self._after_fork)

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """POST each message within DATA_PLATFORM_TIMEOUT_SECONDS; only 2xx is an acknowledgement.

        A message for which no thread was free in time, because requests in sync mode use them too, was not tried.
        """
        return self._caller().call(messages)

    def _caller(self) -> "_Caller":
        with self._guard:
            caller = self._callers.get(os.getpid())
            if caller is None:
                caller = self._callers[os.getpid()] = _Caller()
            return caller

    def _after_fork(self) -> None:
        self._guard = threading.Lock()
        # The parent's lock may be held by a thread that does not exist here.
        self.breaker = _breaker()


def _breaker() -> Breaker:
    return Breaker(
        DATA_PLATFORM,
        failures=settings.DATA_PLATFORM_BREAKER_FAILURES,
        pause_seconds=settings.DATA_PLATFORM_BREAKER_SECONDS,
    )


class _Caller:
    """The kept connections of one process and the threads that use them.

    Calls run on threads of their own because name resolution cannot be interrupted. At the deadline the caller stops
    waiting, and the call's socket is shut down, so that its thread ends.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="data-platform")
        self._session = requests.Session()
        # No proxies or passwords from the environment: only the settings decide where events go.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_maxsize=_CALLS_AT_ONCE))

    def call(self, messages: Sequence[Message]) -> Outcomes:
        rounds = -(-len(messages) // _CALLS_AT_ONCE)
        deadline = time.monotonic() + rounds * settings.DATA_PLATFORM_TIMEOUT_SECONDS
        clock = Clock()
        calls = {message.id: self._threads.submit(self._post, message, deadline) for message in messages}
        outcomes: dict[int, Outcome] = {}
        for message_id, call in calls.items():
            with suppress(_NotTried):
                outcomes[message_id] = _result(call, deadline, clock)
        return outcomes

    def _post(self, message: Message, latest: float) -> Outcome:
        seconds = min(settings.DATA_PLATFORM_TIMEOUT_SECONDS, latest - time.monotonic())
        if seconds <= 0:
            raise _NotTried
        clock = Clock()
        try:
            with sockets_shut_after(seconds) as deadline:
                return self._answer_to(message, seconds, deadline, clock)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # A socket shut at the deadline looks like a lost connection; in both cases nothing was acknowledged.
            return Failure(f"{type(error).__name__}: {error}", unavailable=True, call=clock.call())

    def _answer_to(self, message: Message, seconds: float, deadline: SocketDeadline, clock: Clock) -> Outcome:
        secrets = (settings.DATA_PLATFORM_SECRET, *settings.DATA_PLATFORM_SECRET_FALLBACKS)
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": message.event_id,
            "X-Signature": signature(secrets, message.payload, sent_at=int(time.time())),
        }
        if message.traceparent is not None:
            headers[TRACEPARENT] = message.traceparent
        with self._session.post(
            settings.DATA_PLATFORM_URL,
            data=message.payload,
            headers=headers,
            timeout=seconds,
            allow_redirects=False,
            stream=True,
        ) as answer:
            shown = ""
            if deadline.is_over:
                # A socket that was shut down looks like the end of the headers.
                return Failure("No whole answer in time", unavailable=True, call=clock.call())
            # Read to the end so that the connection can be reused; not worth it for a longer response.
            with suppress(urllib3.exceptions.HTTPError):
                shown = answer.raw.read(_SHOWN_ANSWER_BYTES, decode_content=False).decode(errors="replace")
            if 200 <= answer.status_code < 300:
                return Acknowledged(clock.call(answer.status_code))
            return Failure(
                f"HTTP {answer.status_code}: {shown}",
                retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", "")),
                about_message=answer.status_code in _ABOUT_THE_MESSAGE,
                call=clock.call(answer.status_code),
            )


class _WatchedConnection(HTTPConnection):
    """Registers the socket of a running call with its deadline."""

    def _new_conn(self) -> socket.socket:
        # Before the TLS handshake, which may be slow as well.
        return watched(super()._new_conn())

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            # A reused connection was registered with the deadline of an earlier call.
            watched(self.sock)
        super().request(*args, **kwargs)


class _WatchedHTTPSConnection(_WatchedConnection, HTTPSConnection):
    pass


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class _Adapter(HTTPAdapter):
    """The transport of requests, with watched connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedHTTPSPool}


def _result(call: "Future[Outcome]", deadline: float, clock: Clock) -> Outcome:
    try:
        return call.result(timeout=max(0.0, deadline + _GRACE_SECONDS - time.monotonic()))
    except TimeoutError:
        if call.cancel():
            raise _NotTried from None
        return Failure("No answer in time", unavailable=True, call=clock.call())
