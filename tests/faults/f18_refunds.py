"""F18b: two members of staff refund units of an order while its customer cancels it, and workers are killed."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from django.db.models import Sum

from balances.models import EntryType, LedgerEntry, User
from commerce.api.authentication import tokens_for
from orders.models import Order, OrderStatus, RefundItem
from tests.embedded.processes import is_alive
from tests.factories import StaffFactory
from tests.faults.burst import Ask, acknowledged, ask, burst, cancel, key_of, order, refund
from tests.faults.f01_worker_killed import wait_for_workers
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call, Outcome
from tests.faults.points import KILL
from tests.faults.shop import Variant

_BOUGHT = 4
_REFUNDS = 8
_CANCELS = 4
_STEPS = ("after-lock", "after-effect", "before-commit", "after-commit", "before-response")
_ANSWERED_SECONDS = 20.0


class RefundedAndCancelled(Fault):
    """Either the order is cancelled or units are refunded; nothing is returned twice; retries have one response."""

    number = "F18b"
    title = "refunds racing a cancel, workers kill -9"
    protection = "refunds and cancels decide on the locked rows of an order, and constraints hold what they sum up to"
    control_shows = "came back of order"
    gap_seconds = (0.3, 1.0)
    fewest_shots = 2
    most_shots = 200

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.naive_shop.no_locks", "tests.faults.naive_shop.refunds_that_look_first"))

    def strike(self, run: Run) -> str:
        wait_for_workers(run)
        user_id, product = run.random.choice(run.scene.users), run.random.choice(run.scene.products)
        bought = acknowledged(run, order(user_id, {product: _BOUGHT}, key=key_of(run)))
        order_id, staff = bought.json["id"], (_clerk(run), _clerk(run))
        asks = [
            refund(staff[number % 2], order_id, {product: 1}, restock=number % 3 > 0, key=key_of(run))
            for number in range(_REFUNDS)
        ]
        step = run.random.choice(_STEPS)
        points = [f"refund.{step}"]
        if len(run.shots) % 2:
            asks += [cancel(user_id, order_id, key=key_of(run)) for _ in range(_CANCELS)]
            # If a cancel is first, all refunds are refused and do not get as far as some of these steps.
            points.append(f"cancel.{step}")
        run.random.shuffle(asks)
        before = len(run.shop.points.fired())
        # Only one worker is killed: without any, no request is answered until the next one has started.
        run.shop.points.arm_first_of(points, KILL)
        calls = burst(run, asks, more_than_room=True)
        has_fired = run.wait_until(lambda: len(run.shop.points.fired()) > before, seconds=10)
        # A trigger that stayed armed would kill another worker during the next strike.
        run.shop.points.disarm()
        if not has_fired:
            raise NotFired(f"nobody reached {' or '.join(points)} within 10 s")
        firing = run.shop.points.fired()[-1]
        if not run.wait_until(lambda: not is_alive(firing.pid), seconds=5):
            os.kill(firing.pid, signal.SIGKILL)
            raise NotFired(f"worker {firing.pid} survived SIGKILL")
        _find_out(run, asks, calls)
        _check(run, order_id)
        return f"{len(asks)} refunds and cancels of order {order_id}, worker {firing.pid} killed at {firing.point}"


def _clerk(run: Run) -> int:
    """A member of staff, who refunds."""
    clerk: User = StaffFactory()
    run.scene.tokens[clerk.pk] = tokens_for(user_id=clerk.pk, is_staff=True).access
    return clerk.pk


def _find_out(run: Run, asks: Sequence[Ask], calls: Sequence[Call]) -> None:
    """Retry unanswered requests with their keys until they are answered."""
    until = time.monotonic() + _ANSWERED_SECONDS
    for asked, call in zip(asks, calls, strict=True):
        while not call.is_final and time.monotonic() < until:
            run.pause(0.1)
            call = ask(run, replace(asked))  # noqa: PLW2901  # the newest word about it
        if call.outcome is Outcome.UNKNOWN:
            run.wrong.append(f"{call} was never answered")


def _check(run: Run, order_id: int) -> None:
    purchase = Order.objects.get(pk=order_id)
    units = RefundItem.objects.filter(refund__order_id=order_id).aggregate(sum=Sum("quantity"))["sum"] or 0
    entries = LedgerEntry.objects.filter(order_id=order_id, type=EntryType.REFUND)
    won = entries.aggregate(sum=Sum("amount"))["sum"] or 0
    is_cancelled = purchase.status == OrderStatus.CANCELLED
    if units > _BOUGHT or (is_cancelled and units) or won > purchase.paid_amount:
        run.wrong.append(
            f"{won} of {purchase.paid_amount} won and {units} of {_BOUGHT} units came back of order {order_id},"
            f" which is {purchase.status}"
        )
    elif not is_cancelled and (purchase.status, units) != (OrderStatus.REFUNDED, _BOUGHT):
        run.wrong.append(f"order {order_id} is {purchase.status}, {units} units refunded, and all were asked for")
