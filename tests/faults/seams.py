"""Where in the product the failpoints sit: the names that are wrapped, and what each point is called.

Owns the list of points; what happens at one is up to `points`. Imports the product, so it waits for Django.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from balances import operations as balances_operations
from commerce.core import locks
from commerce.core.postgresql.base import DatabaseWrapper
from commerce.core.transaction import Transaction
from commerce.outbox import dispatcher
from commerce.outbox.sinks.data_platform import DataPlatformSink
from commerce.outbox.sinks.kafka import KafkaSink
from coupons import operations as coupons_operations
from orders import operations as orders_operations
from orders import services as orders_services
from stats import consumers
from stats import operations as stats_operations
from tests.faults.entry import FOLDER, POINTS_HEADER, ROLE
from tests.faults.points import reach

_WRITES = (
    ("order", re.compile(r"/api/orders")),
    ("cancel", re.compile(r"/api/orders/\d+/cancel")),
    ("charge", re.compile(r"/api/balance/charge")),
    ("issue", re.compile(r"/api/coupons/\d+/issue")),
)
"""The requests that have points, by path; all are POST."""

REQUEST_STEPS = (
    "before-lock",
    "after-lock",
    "after-stock",
    "after-balance",
    "before-commit",
    "after-commit",
    "before-hand-over",
    "after-hand-over",
    "before-response",
)
"""The steps of a write, in order: `order.after-stock` and so on. A coupon's issue and an order's cancel have
`after-effect` in place of the stock and the balance."""


class _Current(threading.local):
    """Which write this thread is at."""

    write: str | None = None


_current = _Current()


def install() -> None:
    """Put the points into this process. The request's own points need `with_request_points` besides."""
    _around(locks._RedisLocks, "_acquire", before="before-lock", after="after-lock")
    _around(orders_services, "take_stock", after="after-stock")
    _around(orders_services, "withdraw", after="after-balance")
    _around(balances_operations, "deposit", after="after-balance")
    _around(coupons_operations, "issue", after="after-effect")
    _around(orders_operations, "cancel_order", after="after-effect")
    _around(Transaction, "write_appended", after="before-commit")
    _around(DatabaseWrapper, "_commit", after="after-commit")
    _around(Transaction, "run_released", before="before-hand-over", after="after-hand-over")
    # A dispatcher runs in a web worker as well: its points are `web.…` there and `relay.…` in relay_outbox.
    role = os.environ[ROLE]
    _around(dispatcher.Dispatcher, "_due", after="after-read", of=role)
    _around(dispatcher, "record", before="after-acknowledged", after="after-record", of=role)
    _around(KafkaSink, "deliver", before="before-kafka", after="after-kafka", of=role)
    _around(DataPlatformSink, "deliver", before="before-data-platform", after="after-data-platform", of=role)
    _around(stats_operations, "recompute_day", before="before-day", after="inside-day", of=role)
    _around(stats_operations, "count_orders", before="before-count", after="inside-count", of=role)
    _around(consumers, "count", after="after-count", of=role)


def with_request_points(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application, telling each thread which write it is at, with a point before the response leaves."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        _current.write = _write_of(environ)
        try:
            response = application(environ, start_response)
            reach_step("before-response")
            return response
        finally:
            _current.write = None

    return answer


def _write_of(environ: dict[str, Any]) -> str | None:
    if environ["REQUEST_METHOD"] != "POST":
        return None
    own = environ.get(f"HTTP_{POINTS_HEADER.upper().replace('-', '_')}")
    return own or next((name for name, path in _WRITES if path.fullmatch(environ["PATH_INFO"])), None)


def reach_step(step: str, of: str | None = None) -> None:
    """This thread is at `step` of its write, or of what `of` says."""
    owner = of or _current.write
    if owner is not None:
        reach(os.environ[FOLDER], f"{owner}.{step}")


def _around(
    owner: Any, name: str, *, before: str | None = None, after: str | None = None, of: str | None = None
) -> None:
    """Wrap `owner.name`. `of`: whose point it is; None: the write's that the thread is at."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        if before:
            reach_step(before, of)
        result = original(*arguments, **keywords)
        if after:
            reach_step(after, of)
        return result

    setattr(owner, name, wrapped)
