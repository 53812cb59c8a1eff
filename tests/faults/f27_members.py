"""F27: one write of a group fails, and the groups of two processes need the same rows."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import redis

from balances import operations as wallet
from balances.operations import Ledger
from balances.rules import Entry
from commerce.core.group import Group, Member
from commerce.core.transaction import Transaction
from tests.faults.burst import Ask, charge, key_of, order
from tests.faults.f11_crossing_carts import deadlocks
from tests.faults.fault import NotFired, Run
from tests.faults.groups import AT_ONCE, GroupFault, bursts_until, writes_of_all_kinds
from tests.faults.history import Call
from tests.faults.points import Injected, sleep
from tests.faults.seams import GROUP
from tests.faults.shop import Variant

_POISON = "poison"
_RAISES, _BREAKS, _NAMES_NOBODY, _IS_UNREADABLE = 4_444_401, 4_444_402, 4_444_403, 4_444_404
"""Charges of these amounts (won) are made to fail."""
_KINDS = {
    _RAISES: "a decision that raises",
    _BREAKS: "a row that breaks a constraint",
    _NAMES_NOBODY: "a row of an account that was deleted",
    _IS_UNREADABLE: "a row that cannot be sent",
}
_NOBODY = 10**12
_HOT_PRODUCTS = 3
_FLUSH_PAUSE_SECONDS = 0.005


class OnePoisoned(GroupFault):
    """It fails alone, with a 500 and without an effect; the others of its group are acknowledged."""

    number = "F27c"
    title = "one poisoned request among 30"
    protection = "a write that raises is undone alone, and a group that fails is run again one by one"
    fewest_shots = len(_KINDS)
    control_shows = tuple(f"is a neighbour of {kind}" for kind in _KINDS.values())
    control_in_short = True

    def control(self) -> Variant:
        return self.without("tests.faults.f27_members.all_for_one")

    def strike(self, run: Run) -> str:
        amount, kind = list(_KINDS.items())[len(run.shots) % len(_KINDS)]
        point = f"{_POISON}-{GROUP}.before-lock"
        before = run.fired(point)
        run.shop.points.arm(point, sleep(0.0))

        def with_poison() -> list[Ask]:
            *writes, other = writes_of_all_kinds(run)
            poison = charge(other.user_id, amount, key=key_of(run), points=_POISON, judged=False)
            writes.insert(AT_ONCE // 2, poison)
            return writes

        calls = bursts_until(run, lambda: run.fired(point) > before, with_poison)
        poisoned = [call for call in calls if _is_poison(call)]
        run.wrong += [f"{call} is {kind}, and was not answered 500" for call in poisoned if call.status != 500]
        failed = [call for call in calls if call.status != 200 and not _is_poison(call)]
        run.wrong += [f"{call} is a neighbour of {kind}" for call in failed[:3]]
        return f"{len(poisoned)} times {kind} in a group, {len(calls) - len(poisoned)} neighbours"


class GroupsCross(GroupFault):
    """Their Redis locks are lost repeatedly, so that only the row locks separate two processes."""

    number = "F27d"
    title = "groups of two processes cross"
    protection = "a group locks its rows in the order of their ids, and leaves out those that another one has"
    control_shows = "deadlocks (40P01)"

    def __init__(self) -> None:
        self._met = 0

    def control(self) -> Variant:
        return self.without(
            "tests.faults.naive_shop.no_locks", "tests.faults.naive_shop.stock_in_the_order_of_the_cart"
        )

    def strike(self, run: Run) -> str:
        products = run.random.sample(run.scene.products, _HOT_PRODUCTS)

        def carts() -> list[Ask]:
            customers = run.random.sample(run.scene.users, AT_ONCE)
            wanted = [run.random.sample(products, run.random.randint(2, _HOT_PRODUCTS)) for _ in customers]
            return [
                order(customer, dict.fromkeys(each, 1), key=key_of(run))
                for customer, each in zip(customers, wanted, strict=True)
            ]

        point = "order.busy-row"
        before = run.fired(point)
        run.shop.points.arm(point, sleep(0.0))
        with _Flushing(run):
            try:
                calls: Sequence[Call] = bursts_until(run, lambda: run.fired(point) > before, carts)
            except NotFired:
                # Without the protection there is a deadlock instead.
                return "no group left out a row of another's"
        self._met += 1
        failed = [call for call in calls if call.status != 200]
        run.wrong += [f"{call} crossed another group" for call in failed[:3]]
        return f"{len(calls)} carts over {_HOT_PRODUCTS} products, a row of another's group left out"

    def judge(self, run: Run) -> list[str]:
        found = deadlocks(run)
        return found if self._met else [*found, "NotFired: no group left out a row of another's"]


class _Flushing:
    """Flushes all locks every few milliseconds during the block."""

    def __init__(self, run: Run) -> None:
        self._url = run.servers.lock_redis_url
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._flush)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()

    def _flush(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            while not self._ends.wait(_FLUSH_PAUSE_SECONDS):
                client.flushall()


def _is_poison(call: Call) -> bool:
    return call.kind == "charge" and call.body["amount"] in _KINDS


def poison() -> None:
    """Charges of certain amounts fail, like an undetected bug."""
    deposit = wallet.deposit

    def poisoned(transaction: Transaction, *, user_id: int, amount: int) -> Entry:
        if amount == _RAISES:
            raise Injected("This charge cannot be decided.")
        entry = deposit(transaction, user_id=user_id, amount=amount)
        rows = transaction[Ledger].rows
        if amount == _BREAKS:
            rows[-1] = replace(entry, type="NOTHING")
        if amount == _NAMES_NOBODY:
            rows[-1] = replace(entry, user_id=_NOBODY)
        if amount == _IS_UNREADABLE:
            rows[-1] = {"type": object()}
        return entry

    wallet.deposit = poisoned


def all_for_one() -> None:
    """An error of one member of a group fails all members."""
    decide = Group._decide

    def together(self: Group) -> list[Member]:
        decided = decide(self)
        for member in decided:
            if isinstance(member.error, Injected):
                raise member.error
        return decided

    def fail_all(self: Group, error: Exception) -> None:
        for member in self._members:
            member.fail(error)

    Group._decide = together  # type: ignore[method-assign]  # that is the point
    Group._run_again = fail_all  # type: ignore[method-assign]  # that is the point
