"""Rate limits of accounts, client addresses and logins: 429 with Retry-After before any other work is done.

Also contains the headers with the remaining quota. The counters are in `commerce.core.rate_limit`.
"""

import hashlib
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import ceil
from typing import ClassVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from commerce.api.authentication import Caller
from commerce.core import metrics
from commerce.core.rate_limit import Counter, Limit, Taken, forgive, take, take_often

_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3_600
# A customer of an IPv6 network usually has all addresses of such a prefix.
_IPV6_PREFIX = 64

LEFT = "commerce.rate_limit"
"""Key in the request for the headers of its response."""

limit_of = cache(Limit)
"""The settings' limits, cached, because creating one takes longer than checking it."""


class _Throttle(BaseThrottle):
    """DRF's throttle class: called after authentication and permissions, before the body is read."""

    what: ClassVar[str]
    _wait_seconds = 0.0

    def wait(self) -> float | None:
        return self._wait_seconds or None

    def _judge(self, request: HttpRequest, limit: Limit, taken: Taken) -> bool:
        wait_seconds, busy_seconds = taken
        self._wait_seconds = wait_seconds
        if wait_seconds:
            metrics.THROTTLED.labels(self.what).inc()
        _store_headers(request, limit, busy_seconds)
        return not wait_seconds


def _store_headers(request: HttpRequest, limit: Limit, busy_seconds: float) -> None:
    """Store the headers for the response: the limit, and its remaining uses while `busy_seconds` are to be paid off."""
    # Times are rounded up to microseconds, which must not reduce the result by a whole use or second.
    left = max(0, int(limit.at_once - busy_seconds * limit.per_second + 0.01))
    request.META[LEFT] = limit.policy, ("RateLimit", f'"{limit.name}";r={left};t={ceil(busy_seconds - 0.001)}')


class Writes(_Throttle):
    """Limits the writes of one account, over all of its sessions. The default of every endpoint."""

    what = "writes"

    def allow_request(self, request: Request, view: object) -> bool:
        # Endpoints without authentication have their own limits.
        if request.method in SAFE_METHODS or not isinstance(request.user, Caller):
            return True
        limit = self.limit()
        if limit.per_second <= 0:
            return True
        return self._judge(request._request, limit, take_often(Counter(limit, str(request.user.id))))

    def limit(self) -> Limit:
        return limit_of(self.what, settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE)


class CouponIssues(Writes):
    """Limits how often an account may request a coupon."""

    what = "coupon-issues"

    def limit(self) -> Limit:
        return limit_of(self.what, settings.COUPON_ISSUES_PER_SECOND, settings.COUPON_ISSUES_AT_ONCE)


class Refreshes(_Throttle):
    """Limits how often an address may request a new access token."""

    what = "refreshes"

    def allow_request(self, request: Request, view: object) -> bool:
        limit = _per_address(self.what)
        if limit.per_second <= 0:
            return True
        return self._judge(request._request, limit, take(Counter(limit, client_address(request._request))))


@contextmanager
def login_attempt(request: HttpRequest, username: str) -> Iterator[None]:
    """Wrap the check of one password. The block must raise if the password is wrong.

    The attempt is counted before the password is checked. Otherwise simultaneous requests could try any number of
    passwords before the first failure is counted. A success reverts the count. Unknown names are counted too.

    Raises Throttled.
    Raises Throttled.
    """
    address = client_address(request)
    # Hashed, because a name can be any text of 150 characters, and people type passwords there. All spellings of a
    # name that log in to the same account are counted as one.
    spelled = get_user_model().normalize_username(username)
    name = hashlib.blake2b(spelled.encode(), digest_size=16).hexdigest()
    pair = Counter(
        Limit(
            "login-failures",
            settings.LOGIN_FAILURES_PER_MINUTE / _MINUTE_SECONDS,
            settings.LOGIN_FAILURES_PER_MINUTE,
        ),
        f"{address}:{name}",
    )
    anywhere = Counter(
        Limit(
            "login-failures-anywhere",
            settings.LOGIN_FAILURES_PER_HOUR / _HOUR_SECONDS,
            settings.LOGIN_FAILURES_PER_HOUR,
        ),
        name,
    )
    limit = _per_address("logins")
    wait_seconds, busy_seconds = take(Counter(limit, address), pair, anywhere)
    if limit.per_second > 0:
        # The headers describe the limit of the address only; the remaining attempts for a name are not revealed.
        _store_headers(request, limit, busy_seconds)
    if wait_seconds:
        metrics.THROTTLED.labels("logins").inc()
        raise Throttled(wait_seconds)
    yield
    forgive(pair, anywhere)


def client_address(request: HttpRequest) -> str:
    """The client's address: the peer of the connection, or the address reported by our own proxies.

    With `NUM_PROXIES` each proxy has appended one entry to X-Forwarded-For. Entries before those can be forged by the
    client, and a header with fewer entries did not pass all proxies. An IPv6 address is reduced to its network.
    """
    connection = request.META.get("REMOTE_ADDR", "")
    entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.NUM_PROXIES <= len(entries):
        return _network(entries[-settings.NUM_PROXIES].strip()) or _network(connection) or connection
    return _network(connection) or connection


def _network(text: str) -> str:
    """The address, or for IPv6 its network; empty if the text is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # A zone (`%eth0`) is local and does not identify the client.
    return str(ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))


def _per_address(what: str) -> Limit:
    return Limit(what, settings.LOGINS_PER_MINUTE / _MINUTE_SECONDS, settings.LOGINS_PER_MINUTE)
