"""Creates large groups: many simultaneous writes, in a shop whose leaders wait a moment for more.

Contains the writes, and the check whether a group is large enough. The faults define what happens to it.
"""

import time
from collections.abc import Callable, Sequence

from commerce.core.group import Member
from commerce.core.group_commit import Queue
from tests.factories import CouponFactory
from tests.faults.burst import Ask, burst, charge, issue, key_of, order
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call
from tests.faults.shop import Variant

AT_ONCE = 30
_GATHER_SECONDS = 0.03
_MOST_BURSTS = 8
_SETTINGS = {"LOCK_TTL_SECONDS": "0.5", "DATABASE_IDLE_TIMEOUT_MS": "20000"}
"""Redis locks expire long before a delayed group ends: only the row locks are left."""
_PATCHES = ("tests.faults.groups.gather", "tests.faults.f27_members.poison")
_PROXIED = frozenset({"postgres"})


class GroupFault(Fault):
    """A fault of a group of eight writes or more. All of these faults use the same shop."""

    gap_seconds = (0.1, 0.3)
    most_shots = 50

    def variant(self) -> Variant:
        return Variant(settings=_SETTINGS, patches=_PATCHES, proxied=_PROXIED)

    def without(self, *patches: str) -> Variant:
        """The same shop with these patches, which remove a protection."""
        return Variant(settings=_SETTINGS, patches=(*_PATCHES, *patches), proxied=_PROXIED)


def gather() -> None:
    """A leader waits a moment for more writes before it takes the waiting ones."""
    next_members = Queue._next_members

    def later(self: Queue) -> list[Member]:
        time.sleep(_GATHER_SECONDS)
        return next_members(self)

    Queue._next_members = later  # type: ignore[method-assign]  # that is the point


def writes_of_all_kinds(run: Run, count: int = AT_ONCE) -> list[Ask]:
    """Orders, charges and issues that cannot be refused, each by another customer."""
    coupon = CouponFactory(total_quantity=count).pk
    asks = []
    for number, user_id in enumerate(run.random.sample(run.scene.users, count)):
        if number % 3 == 0:
            asks.append(charge(user_id, run.random.randint(1, 5_000), key=key_of(run)))
        elif number % 3 == 1:
            asks.append(issue(user_id, coupon, key=key_of(run)))
        else:
            products = run.random.sample(run.scene.products, 2)
            asks.append(order(user_id, dict.fromkeys(products, 1), key=key_of(run)))
    return asks


def bursts_until(run: Run, happened: Callable[[], bool], asks: Callable[[], Sequence[Ask]]) -> list[Call]:
    """Send bursts until it has happened to a group; returns their calls. Raises NotFired."""
    calls: list[Call] = []
    for _ in range(_MOST_BURSTS):
        # Bursts whose leader is killed end early.
        calls += burst(run, asks(), more_than_room=True)
        if happened():
            return calls
    raise NotFired(f"it happened to none of the groups of {_MOST_BURSTS} bursts")
