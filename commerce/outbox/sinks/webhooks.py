"""The sink of webhooks: events to third parties, as Standard Webhooks says (https://www.standardwebhooks.com).

A name is resolved once per connection, which is made to one of the checked addresses
(`commerce.outbox.sinks.addresses`). Redirects are not followed, and proxies of the environment are not used.
"""

import base64
import hmac
import secrets
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from http.client import HTTPException
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util.connection import is_connection_dropped

from commerce.core.tracing import TRACEPARENT
from commerce.outbox.breaker import Breaker
from commerce.outbox.sinks.addresses import ForbiddenAddress, addresses_of, why_not
from commerce.outbox.sinks.answers import Clock, retry_after_seconds
from commerce.outbox.sinks.base import Acknowledged, Endpoint, Failure, Message, Outcome, Outcomes
from commerce.outbox.sinks.deadline import SocketDeadline, sockets_shut_after, watched

SECRET_PREFIX = "whsec_"  # noqa: S105  # what a secret begins with
SECRET_BYTES = 32
CONTENT_TYPE = "application/json"
USER_AGENT = "commerce-webhooks/1"
GONE = 410
_SHOWN_ANSWER_BYTES = 300
_MOST_ADDRESSES = 3
_CONNECT_SECONDS = 3.0
"""Connect timeout for each address of a name, so that an unresponsive one leaves time for the next."""
# With these statuses the receiver works; with any other failure the next message would fail as well.
_ABOUT_THE_MESSAGE = {400, 409, 413, 415, 422}
FORBIDDEN = "The name leads to an address that is not allowed"
_FAILED = (OSError, HTTPError, HTTPException, ValueError)
"""What a call raises for errors of the network or the receiver; ValueError for an unreadable response."""


def new_secret() -> str:
    """A new secret: `whsec_` and 32 random bytes in Base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(with_secrets: Sequence[str], message_id: str, sent_at: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,…` for each secret, in their order, separated by spaces."""
    signed = f"{message_id}.{sent_at}.".encode() + body
    return " ".join(f"v1,{_digest(secret, signed)}" for secret in with_secrets)


def _digest(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


class WebhookSink:
    """Calls one subscription with its messages, sequentially over one connection."""

    keeps_order: ClassVar[bool] = False
    parks: ClassVar[bool] = True
    largest_batch: ClassVar[int] = 8
    longest_wait_seconds: ClassVar[float] = 3_600.0
    breaker: Breaker | None = None
    """None: failures and pauses of a subscription are in its row, where all dispatchers see them."""

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """POST each message, all for one endpoint, within WEBHOOK_TIMEOUT_SECONDS; 2xx is an acknowledgement.

        After a failure that is not about its message alone, and once the first message's time is over, the rest is not
        tried. May be called by several threads, also for the same endpoint.
        """
        endpoint = messages[0].endpoint
        if endpoint is None:
            raise ValueError("A message to a webhook has an endpoint.")
        outcomes: dict[int, Outcome] = {}
        latest = time.monotonic() + settings.WEBHOOK_TIMEOUT_SECONDS
        line = _Line(endpoint)
        try:
            for message in messages:
                outcome = outcomes[message.id] = line.post(message)
                if time.monotonic() > latest or (isinstance(outcome, Failure) and not outcome.about_message):
                    break
        finally:
            line.close()
        return outcomes


class _Line:
    """A connection to one endpoint, opened on first use."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: HTTPConnection | None = None

    def post(self, message: Message) -> Outcome:
        """Send one message. Never raises for errors of the network or the receiver."""
        clock = Clock()
        with sockets_shut_after(settings.WEBHOOK_TIMEOUT_SECONDS) as deadline:
            try:
                return self._answer_to(message, deadline, clock)
            except ForbiddenAddress:
                return Failure(FORBIDDEN, unavailable=True, call=clock.call())
            except _FAILED as error:
                # A socket shut at the deadline looks like a lost connection; in both cases nothing was acknowledged.
                self.close()
                reason = "No whole answer in time" if deadline.is_over else f"{type(error).__name__}: {error}"
                return Failure(reason, unavailable=True, call=clock.call())

    def close(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _answer_to(self, message: Message, deadline: SocketDeadline, clock: Clock) -> Outcome:
        refusal = why_not(self._endpoint.url)
        if refusal is not None:
            # A setting has changed since the URL was saved.
            return Failure(f"Not called: {refusal}", unavailable=True, call=clock.call())
        answer = self._request(message)
        if deadline.is_over:
            # A socket that was shut down looks like the end of the headers.
            self.close()
            return Failure("No whole answer in time", unavailable=True, call=clock.call())
        shown = self._rest_of(answer)
        if 200 <= answer.status < 300:
            return Acknowledged(clock.call(answer.status))
        return Failure(
            f"HTTP {answer.status}: {shown}",
            unavailable=answer.status not in _ABOUT_THE_MESSAGE,
            retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", "")),
            about_message=answer.status in _ABOUT_THE_MESSAGE,
            gone=answer.status == GONE,
            call=clock.call(answer.status),
        )

    def _request(self, message: Message) -> BaseHTTPResponse:
        parts = urlsplit(self._endpoint.url)
        if self._connection is not None and is_connection_dropped(self._connection):
            self.close()
        if self._connection is None:
            self._connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        elif self._connection.sock is not None:
            # A reused connection was registered with the previous call's deadline.
            watched(self._connection.sock)
        sent_at = int(time.time())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": USER_AGENT,
            "webhook-id": message.event_id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature(self._endpoint.secrets, message.event_id, sent_at, message.payload),
        }
        if message.traceparent is not None:
            headers[TRACEPARENT] = message.traceparent
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection.request(
            "POST", target, body=message.payload, headers=headers, preload_content=False, decode_content=False
        )
        return self._connection.getresponse()

    def _rest_of(self, answer: BaseHTTPResponse) -> str:
        """The beginning of the response body. The connection is reused only if that was the whole body."""
        shown, is_whole = b"", False
        with suppress(*_FAILED):
            shown = answer.read(_SHOWN_ANSWER_BYTES + 1, decode_content=False)
            is_whole = len(shown) <= _SHOWN_ANSWER_BYTES and answer.read(1, decode_content=False) == b""
        if not is_whole or answer.version < 11 or _says_close(answer):
            answer.close()
            self.close()
        return shown[:_SHOWN_ANSWER_BYTES].decode(errors="replace")


def _says_close(answer: BaseHTTPResponse) -> bool:
    return answer.headers.get("Connection", "").strip().lower() == "close"


class _Pinned(HTTPConnection):
    """Connects only to addresses that were resolved and checked before; does not resolve the name again."""

    def _new_conn(self) -> socket.socket:
        # The library keeps the brackets of an IPv6 address.
        host = self.host.strip("[]")
        last = OSError("The name has no address")
        for family, address in addresses_of(host, self.port)[:_MOST_ADDRESSES]:
            used = socket.socket(family, socket.SOCK_STREAM)
            try:
                # Before the TLS handshake, which may be slow as well.
                watched(used)
                used.settimeout(min(_CONNECT_SECONDS, settings.WEBHOOK_TIMEOUT_SECONDS))
                used.connect((address, self.port))
                used.settimeout(settings.WEBHOOK_TIMEOUT_SECONDS)
                used.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                used.close()
                last = error
            else:
                return used
        raise last


class _PinnedHTTPS(_Pinned, HTTPSConnection):
    """Verifies the certificate for the name in the URL, not for the address."""


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    timeout = settings.WEBHOOK_TIMEOUT_SECONDS
    if scheme == "https":
        more: dict[str, Any] = {"ssl_context": _tls(settings.WEBHOOK_CA_FILE), "cert_reqs": "CERT_REQUIRED"}
        return _PinnedHTTPS(host, port or 443, timeout=timeout, **more)
    return _Pinned(host, port or 80, timeout=timeout)


@lru_cache(maxsize=4)
def _tls(ca_file: str) -> ssl.SSLContext:
    """The TLS context with the system's CA certificates, or those of WEBHOOK_CA_FILE."""
    return ssl.create_default_context(cafile=ca_file or None)
