"""Who is limited, by which limit, and from where they call: 429 with Retry-After before anything else is done.

Owns the limits of accounts, client addresses and logins, and the headers that say what is left of them; how uses are
counted is in `commerce.core.rate_limit`.
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

from commerce.core import metrics
from commerce.core.rate_limit import Counter, Limit, Taken, forgive, take, take_often
from commerce.http.authentication import Caller

_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3_600
# One customer of an IPv6 network has all the addresses of such a prefix.
_IPV6_PREFIX = 64

LEFT = "commerce.rate_limit"
"""Where a request keeps the headers for its answer."""

limit_of = cache(Limit)
"""The settings' limits, made once: making one takes longer than asking whether it is reached."""


class _Throttle(BaseThrottle):
    """DRF's hook: asked after authentication and permissions, before the body is read."""

    what: ClassVar[str]
    _wait_seconds = 0.0

    def wait(self) -> float | None:
        return self._wait_seconds or None

    def _judge(self, request: HttpRequest, limit: Limit, taken: Taken) -> bool:
        wait_seconds, busy_seconds = taken
        self._wait_seconds = wait_seconds
        if wait_seconds:
            metrics.THROTTLED.labels(self.what).inc()
        _tell(request, limit, busy_seconds)
        return not wait_seconds


def _tell(request: HttpRequest, limit: Limit, busy_seconds: float) -> None:
    """Keep for the answer what the limit is, and what is left of it while `busy_seconds` are to be paid off."""
    # Times are rounded up to microseconds, which must not cost a whole use or second.
    left = max(0, int(limit.at_once - busy_seconds * limit.per_second + 0.01))
    request.META[LEFT] = limit.policy, ("RateLimit", f'"{limit.name}";r={left};t={ceil(busy_seconds - 0.001)}')


class Writes(_Throttle):
    """How much one account may write, in all its sessions together. The default of every endpoint."""

    what = "writes"

    def allow_request(self, request: Request, view: object) -> bool:
        # Endpoints without a caller have limits of their own.
        if request.method in SAFE_METHODS or not isinstance(request.user, Caller):
            return True
        limit = self.limit()
        if limit.per_second <= 0:
            return True
        return self._judge(request._request, limit, take_often(Counter(limit, str(request.user.id))))

    def limit(self) -> Limit:
        return limit_of(self.what, settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE)


class CouponIssues(Writes):
    """How often one account may try to get a coupon."""

    what = "coupon-issues"

    def limit(self) -> Limit:
        return limit_of(self.what, settings.COUPON_ISSUES_PER_SECOND, settings.COUPON_ISSUES_AT_ONCE)


class Refreshes(_Throttle):
    """How often one address may ask for another access token."""

    what = "refreshes"

    def allow_request(self, request: Request, view: object) -> bool:
        limit = _per_address(self.what)
        if limit.per_second <= 0:
            return True
        return self._judge(request._request, limit, take(Counter(limit, client_address(request._request))))


@contextmanager
def login_attempt(request: HttpRequest, username: str) -> Iterator[None]:
    """Around the check of one password; the block raises when it was wrong.

    The attempt is counted before the password is looked at: a crowd at one instant would otherwise try as many as it
    likes before the first failure is known. A success takes it back. Names that nobody has are counted like any other.

    Raises Throttled.
    """
    address = client_address(request)
    # A name may be anything of 150 characters, and people type passwords there: Redis never sees it. All spellings of
    # a name that log in to the same account are counted as one.
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
        # Of the address alone: how many guesses are left for a name is nobody's business.
        _tell(request, limit, busy_seconds)
    if wait_seconds:
        metrics.THROTTLED.labels("logins").inc()
        raise Throttled(wait_seconds)
    yield
    forgive(pair, anywhere)


def client_address(request: HttpRequest) -> str:
    """Where a request comes from: the address of the connection, or what our own proxies say of it.

    With `NUM_PROXIES` each of them has appended one entry to X-Forwarded-For; what stands before those is the client's
    own invention, and a header with fewer entries has not passed them all. An IPv6 address stands for its network.
    """
    connection = request.META.get("REMOTE_ADDR", "")
    entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.NUM_PROXIES <= len(entries):
        return _network(entries[-settings.NUM_PROXIES].strip()) or _network(connection) or connection
    return _network(connection) or connection


def _network(text: str) -> str:
    """The address, or for IPv6 its network; empty for what is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # A zone (`%eth0`) says nothing about the client.
    return str(ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))


def _per_address(what: str) -> Limit:
    return Limit(what, settings.LOGINS_PER_MINUTE / _MINUTE_SECONDS, settings.LOGINS_PER_MINUTE)
