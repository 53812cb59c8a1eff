"""The positions of the failpoints in the product: the wrapped functions, and the name of each point.

Contains the list of points; `points` executes the actions. Imports the product, so Django must be set up.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from balances import operations as balances_operations
from commerce.core import group_commit
from commerce.core.group import Group, Member, Write
from commerce.core.group_commit import Queue
from commerce.core.locks import RedisLocks
from commerce.core.transaction import LockedRows, Transaction
from commerce.outbox import dispatcher
from commerce.outbox.sinks.data_platform import DataPlatformSink
from commerce.outbox.sinks.kafka import KafkaSink
from coupons import operations as coupons_operations
from orders import operations as orders_operations
from products import operations as products_operations
from stats import consumers
from stats import operations as stats_operations
from tests.faults.entry import FOLDER, POINTS_HEADER, ROLE
from tests.faults.points import reach

_WRITES = (
    ("order", re.compile(r"/api/orders")),
    ("cancel", re.compile(r"/api/orders/\d+/cancel")),
    ("refund", re.compile(r"/api/orders/\d+/refunds")),
    ("charge", re.compile(r"/api/balance/charge")),
    ("issue", re.compile(r"/api/coupons/\d+/issue")),
)
"""The requests with failpoints, by path; all are POST."""

GROUP_STEPS = (
    "before-lock",
    "after-lock",
    "after-read",
    "before-commit",
    "after-commit",
    "before-hand-over",
    "after-hand-over",
)
"""The steps of a group of writes, in order. Its leader's thread reaches each of them once for every name among its
members: with an order in the group `order.after-lock`, and so on. Another one, `busy-row`, is reached where another
transaction holds a row of the group.

Between `after-read` and `before-commit` each write is decided. That has points of the one write: `after-stock` and
`after-balance` for an order, `after-balance` for a charge, `after-effect` for a coupon's issue, an order's cancel and a
refund. The last point of a request is `before-response`, on its own thread."""

GROUP = "group"
"""What the points of a group with at least `LARGE_GROUP` writes are called besides: `group.after-lock`, and so on; with
an order among them `order-group.after-lock` as well."""
LARGE_GROUP = 8


_here: ContextVar[tuple[str, ...]] = ContextVar("writes", default=())
"""The names of the writes that the task or thread runs. A leader also runs those of other requests."""


@contextmanager
def _working_on(*names: str) -> Iterator[None]:
    token = _here.set(names)
    try:
        yield
    finally:
        _here.reset(token)


class _NamedWrite:
    """A write whose points have the name of its request."""

    def __init__(self, write: Write[Any], names: tuple[str, ...]) -> None:
        self.locks, self.load = write.locks, write.load
        self._decide = write.decide
        self._names = names

    def decide(self, transaction: Transaction) -> Any:
        with _working_on(*self._names):
            return self._decide(transaction)


class _NamedMember(Member):
    """A member that is created in its request's thread, and passes the name of the request to the leader's thread."""

    __slots__ = ("names",)

    def __init__(self, write: Write[Any]) -> None:
        self.names = _here.get()
        super().__init__(_NamedWrite(write, self.names))


def install() -> None:
    """Install the points in this process. The points of requests also need `with_request_points`."""
    group_commit.Member = _NamedMember  # type: ignore[attr-defined]  # that is the point
    _with_names_of_members()
    _around(RedisLocks, "_acquire", before="before-lock", after="after-lock")
    _around(Group, "_read", after="after-read")
    _around(LockedRows, "accept_busy", before="busy-row")
    _around(products_operations, "take_stock", after="after-stock")
    _around(balances_operations, "withdraw", after="after-balance")
    _around(balances_operations, "deposit", after="after-balance")
    _around(coupons_operations, "issue", after="after-effect")
    _around(orders_operations, "cancel_order", after="after-effect")
    _around(orders_operations, "refund_order", after="after-effect")
    _around(Group, "_write", before="before-commit")
    # PostgreSQL has answered the COMMIT.
    _around(Transaction, "committed", before="after-commit")
    _around(Group, "after_release", before="before-hand-over", after="after-hand-over")
    # A dispatcher can also run in a web worker: its points are `web.…` there and `relay.…` in relay_outbox.
    role = os.environ[ROLE]
    _around(dispatcher.Dispatcher, "_due", after="after-read", of=role)
    _around(dispatcher, "record", before="after-acknowledged", after="after-record", of=role)
    _around(KafkaSink, "deliver", before="before-kafka", after="after-kafka", of=role)
    _around(DataPlatformSink, "deliver", before="before-data-platform", after="after-data-platform", of=role)
    _around(stats_operations, "recompute_day", before="before-day", after="inside-day", of=role)
    _around(stats_operations, "count_orders", before="before-count", after="inside-count", of=role)
    _around(consumers, "count", after="after-count", of=role)


def with_request_points(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application, which sets the name of the write for each request, with a point before the response is sent."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with _working_on(*_names_of(environ)):
            response = application(environ, start_response)
            reach_step("before-response")
            return response

    return answer


def _names_of(environ: dict[str, Any]) -> tuple[str, ...]:
    if environ["REQUEST_METHOD"] != "POST":
        return ()
    own = environ.get(f"HTTP_{POINTS_HEADER.upper().replace('-', '_')}")
    if own:
        return (own,)
    return tuple(name for name, path in _WRITES if path.fullmatch(environ["PATH_INFO"]))


def _with_names_of_members() -> None:
    """A leader runs the writes of its group."""
    run = Queue._run

    def wrapped(self: Queue, members: Sequence[_NamedMember]) -> None:
        names = list(dict.fromkeys(name for member in members for name in member.names))
        if len(members) >= LARGE_GROUP:
            names += [GROUP, *(f"{name}-{GROUP}" for name in names)]
        with _working_on(*names):
            run(self, members)

    Queue._run = wrapped  # type: ignore[assignment,method-assign]  # that is the point


def reach_step(step: str, of: str | None = None) -> None:
    """This thread has reached `step` of the writes that it runs, or of those that `of` returns."""
    for owner in (of,) if of else _here.get():
        reach(os.environ[FOLDER], f"{owner}.{step}")


def _around(
    owner: Any, name: str, *, before: str | None = None, after: str | None = None, of: str | None = None
) -> None:
    """Wrap `owner.name`. `of`: whose point it is; None: that of the writes that the thread runs."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        if before:
            reach_step(before, of)
        result = original(*arguments, **keywords)
        if after:
            reach_step(after, of)
        return result

    setattr(owner, name, wrapped)
