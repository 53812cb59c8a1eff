"""Compares the responses of clients with the database: each difference is a message with the ids.

Does not call the shop, and does not change rows.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, cast

from django.http import HttpResponse

from balances.models import EntryType, LedgerEntry
from commerce.idempotency.models import IdempotencyKey
from commerce.invariants.check import invariants, snapshot, violation_of
from coupons.models import UserCoupon
from orders.events import order_as_json, refund_as_json
from orders.models import Order, Refund
from orders.selectors import with_lines
from tests import documented
from tests.events import cancelled_id, completed_id, refunded_id
from tests.faults.history import READ, Call, Outcome, unresolved
from tests.faults.scene import Scene

LONGEST_REQUEST_SECONDS = 10.0
SHOWN = 10
_CHECKED_OF_A_KIND = 5
_CHANGED_LATER = ("status", "cancelledAt", "refundedAmount", "items")
"""Of an order, by a cancel or a refund; what was bought is among the effects that are looked for."""


def judge(calls: Sequence[Call], scene: Scene) -> list[str]:
    """Everything in which the history and the database of the scene's customers disagree, and every answer that the
    contract does not know.

    A call whose outcome is unknown may have happened, all of it, once, or not at all.
    """
    found = [
        _shortened(check(calls, scene))
        for check in (_acknowledged_and_absent, _there_and_unasked, _answered_twice, _answers_that_differ, _not_kept)
    ]
    return [*(each for some in found for each in some), *_shortened(_undocumented(calls)), *_shortened(_slow(calls))]


def broken_invariants(*, quiet_system: bool) -> list[str]:
    """The violations that `check_invariants` finds."""
    with snapshot():
        violations = [violation_of(invariant) for invariant in invariants(quiet_system=quiet_system)]
    return [
        f"invariant {each.invariant.name} broken {each.count} times: {'; '.join(each.examples[:3])}"
        for each in violations
        if each
    ]


def not_reported(calls: Sequence[Call], reported: set[str]) -> list[str]:
    """Acknowledged orders, cancellations and refunds that the data platform has not received."""
    ids = {"order": completed_id, "cancel": cancelled_id, "refund": refunded_id}
    due = {ids[call.kind](call.json) for call in _acknowledged(calls) if call.kind in ids}
    return _shortened(f"{event} never reached the data platform" for event in sorted(due - reported))


# --- Responses and rows ----------------------------------------------------------------------------------------------


def _acknowledged_and_absent(calls: Sequence[Call], scene: Scene) -> Iterable[str]:
    """Every acknowledged write exists, with the body of its response."""
    rows = _Rows(scene)
    for call in _acknowledged(calls):
        if call.kind == READ:
            continue
        answer = call.json
        there = rows.as_answered(call.kind, answer)
        if there is None:
            yield f"{call} was acknowledged, and its {call.kind} {_answered_id(call)} does not exist"
            continue
        ignored = _CHANGED_LATER if call.kind == "order" else ()
        differing = [name for name in there if name not in ignored and answer.get(name) != there[name]]
        if differing:
            fields = ", ".join(
                f"{name} {answer.get(name)!r} in the response, {there[name]!r} in the database" for name in differing
            )
            yield f"{call} was acknowledged with another body than is there: {fields}"
    yield from (
        f"{call}: an order that was acknowledged is not found"
        for call in calls
        if call.kind == READ and call.code == "order_not_found"
    )


def _there_and_unasked(calls: Sequence[Call], scene: Scene) -> Iterable[str]:
    """There are no other effects than acknowledged ones and those of unknown calls: a refusal has no effect."""
    rows = _Rows(scene)
    acknowledged = defaultdict(set)
    for call in _acknowledged(calls):
        if call.kind != READ:
            acknowledged[call.kind].add(_answered_id(call))
    possible = Counter((call.kind, _asked_for(call)) for call in unresolved(calls))
    for kind, row_id, effect in rows.effects():
        if row_id in acknowledged[kind]:
            continue
        if possible[kind, effect] > 0:
            possible[kind, effect] -= 1
        else:
            yield f"{kind} {row_id} is there ({effect}), and no call was acknowledged with it or may have left it"


def _answered_twice(calls: Sequence[Call], scene: Scene) -> Iterable[str]:
    """No two requests were acknowledged with the same effect."""
    keys = defaultdict(set)
    for call in _acknowledged(calls):
        if call.kind != READ:
            keys[call.kind, _answered_id(call)].add((call.user_id, call.key))
    for (kind, row_id), requests in keys.items():
        if len(requests) > 1:
            yield f"{kind} {row_id} was the answer to {len(requests)} requests: {sorted(requests, key=str)}"


def _answers_that_differ(calls: Sequence[Call], scene: Scene) -> Iterable[str]:
    """One key has one response, byte for byte; later ones are marked as replays."""
    by_key = defaultdict(list)
    for call in calls:
        if call.is_write and call.key and call.is_final:
            by_key[call.user_id, call.key].append(call)
    for answers in by_key.values():
        first = answers[0]
        for later in answers[1:]:
            if (later.status, later.content) != (first.status, first.content):
                yield f"{later} got another answer than {first}"
            elif not later.replayed and not first.replayed:
                yield f"{later} was not marked as a repeat of {first}"


def _not_kept(calls: Sequence[Call], scene: Scene) -> Iterable[str]:
    """The final response to a key is stored; a temporary refusal is not."""
    kept = {
        (row.caller_id, row.key): (row.status, bytes(row.body))
        for row in IdempotencyKey.objects.filter(caller_id__in=scene.tokens)
    }
    by_key = defaultdict(list)
    for call in calls:
        if call.is_write and call.key:
            by_key[call.user_id, call.key].append(call)
    for key, some in by_key.items():
        final = next((call for call in some if call.is_final), None)
        if final is not None and kept.get(key) != (final.status, final.content):
            yield f"{final} was answered, and kept is {kept.get(key, 'nothing')}"
        if final is None and key in kept and all(call.outcome is Outcome.REFUSED for call in some):
            yield f"{some[0]} was put off, and an answer is kept for it as if something had happened"


class _Rows:
    """The rows of the scene's customers in the database."""

    def __init__(self, scene: Scene) -> None:
        users = list(scene.tokens)
        self.orders = {order.pk: order for order in with_lines(Order.objects.filter(user_id__in=users))}
        refunds = Refund.objects.filter(order_id__in=self.orders).prefetch_related("items")
        self.refunds = {refund.pk: refund for refund in refunds}
        charges = LedgerEntry.objects.filter(user_id__in=users, type=EntryType.CHARGE)
        self.charges = {entry.pk: entry for entry in charges if entry.pk not in scene.opening}
        self.coupons = {unit.pk: unit for unit in UserCoupon.objects.filter(user_id__in=users)}

    def as_answered(self, kind: str, answer: Any) -> dict[str, Any] | None:
        """The expected content of a response, from the row; None if the row does not exist."""
        if kind == "charge":
            entry = self.charges.get(answer["transaction"]["id"])
            return {"userId": entry.user_id, "balance": entry.balance_after} if entry else None
        if kind == "issue":
            unit = self.coupons.get(answer["id"])
            return {"couponId": unit.coupon_id} if unit else None
        if kind == "refund":
            refund = self.refunds.get(answer["id"])
            return refund_as_json(refund) if refund else None
        order = self.orders.get(answer["id"])
        if order is None or (kind == "cancel" and order.status != "CANCELLED"):
            return None
        return order_as_json(order)

    def effects(self) -> Iterable[tuple[str, int, Hashable]]:
        """Kind, id and the request that could have caused it."""
        for order in self.orders.values():
            items = frozenset((line.product_id, line.quantity) for line in order.lines)
            yield "order", order.pk, (order.user_id, items, order.user_coupon_id)
            if order.status == "CANCELLED":
                yield "cancel", order.pk, (order.user_id, order.pk)
        for refund in self.refunds.values():
            lines = frozenset((line.product_id, line.quantity) for line in refund.lines)
            yield "refund", refund.pk, (refund.staff_id, refund.order_id, lines, refund.restock)
        for entry in self.charges.values():
            yield "charge", entry.pk, (entry.user_id, entry.amount)
        for unit in self.coupons.values():
            yield "issue", unit.pk, (unit.user_id, unit.coupon_id)


def _asked_for(call: Call) -> Hashable:
    if call.kind == "order":
        items = frozenset((item["productId"], item["quantity"]) for item in call.body["items"])
        return call.user_id, items, call.body.get("userCouponId")
    if call.kind == "refund":
        lines = frozenset((item["productId"], item["quantity"]) for item in call.body["items"])
        return call.user_id, int(call.path.split("/")[3]), lines, call.body["restock"]
    if call.kind == "charge":
        return call.user_id, call.body["amount"]
    return call.user_id, int(call.path.split("/")[3])


def _answered_id(call: Call) -> int:
    answer = call.json
    return int(answer["transaction"]["id"] if call.kind == "charge" else answer["id"])


def _acknowledged(calls: Iterable[Call]) -> list[Call]:
    return [call for call in calls if call.outcome is Outcome.ACKNOWLEDGED]


# --- Conformance to the schema ---------------------------------------------------------------------------------------


class _AsResponse:
    """A call with the attributes of a response that the schema checker reads."""

    def __init__(self, call: Call) -> None:
        assert call.status is not None
        self.status_code = call.status
        self.content = call.content
        self.headers = {"Content-Type": call.content_type, "X-Request-ID": call.request_id}
        if call.replayed:
            self.headers["Idempotent-Replayed"] = "true"
        self.json: Callable[[], Any] = lambda: call.json


def _undocumented(calls: Sequence[Call]) -> Iterable[str]:
    """Only the statuses, codes and bodies of the schema, and `Retry-After` with every 503."""
    seen: Counter[Hashable] = Counter()
    for call in calls:
        if call.status is None:
            continue
        if call.status == 503 and not call.retry_after:
            yield f"{call} has no Retry-After"
        kind = (call.method, re.sub(r"\d+", "#", call.path), call.status, call.code, call.replayed)
        seen[kind] += 1
        if seen[kind] > _CHECKED_OF_A_KIND:
            continue
        try:
            documented.check(call.method, call.path, cast("HttpResponse", _AsResponse(call)))
        except (AssertionError, ValueError, KeyError) as error:
            yield f"{call} is not documented: {str(error)[:300]}"


def _slow(calls: Sequence[Call]) -> Iterable[str]:
    return (
        f"{call} took {call.seconds:.1f} s, longer than any request may"
        for call in calls
        if call.seconds > LONGEST_REQUEST_SECONDS
    )


def _shortened(sentences: Iterable[str]) -> list[str]:
    found = list(sentences)
    more = len(found) - SHOWN
    return found if more <= 0 else [*found[:SHOWN], f"… and {more} more like: {found[SHOWN]}"]
