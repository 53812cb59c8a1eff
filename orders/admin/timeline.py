"""The timeline of an order: all records about it that the user may view, in a bounded number of queries."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from balances.events import BALANCE_CHANGED
from balances.selectors import ledger_of_order
from commerce.audit.models import StaffAction
from commerce.audit.record import actions_on
from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage
from commerce.outbox.publish import event_id, short_event_id
from commerce.outbox.selectors import PARKED, SENT, WAITING, deliveries_of, messages_of, state_of
from commerce.staff_pages.display import won, won_moved
from commerce.staff_pages.timeline import Mark, May, TimelineEntry
from orders.events import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED
from orders.models import Order, OrderStatus, Refund
from orders.selectors import newest_refunds
from products.selectors import movements_of_order
from reservations.models import Reservation
from reservations.selectors import paid_by

if TYPE_CHECKING:
    from balances.models import LedgerEntry
    from coupons.models import UserCoupon
    from products.models import StockMovement

MOST_REFUNDS = 50
MOST_DELIVERIES = 50
MOST_ACTIONS = 50

COLOURS = {WAITING: "warning", PARKED: "danger", SENT: "success"}


def timeline_of(order: Order, may: May) -> list[TimelineEntry]:
    """The events of an order, oldest first; those with the same time in the order in which the code writes them."""
    refunds = newest_refunds(order, most=MOST_REFUNDS)
    reservation = paid_by(order.pk)
    moments = [*_order_itself(order, reservation), *_refunds(order, refunds)]
    if reservation is not None:
        moments.append(_held(order, reservation, may))
    if order.user_coupon is not None and may("coupons.view_usercoupon"):
        moments += _coupon(order, order.user_coupon, refunds)
    if may("products.view_stockmovement"):
        moments += map(_movement, movements_of_order(order.pk))
    entries = list(ledger_of_order(order.pk)) if may("balances.view_ledgerentry") else []
    moments += map(_entry, entries)
    moments += _messages(_event_ids(order, entries, refunds), may)
    actions = actions_on(order._meta.label_lower, order.pk)[:MOST_ACTIONS]
    moments += (_action(action, may) for action in actions)
    return sorted(moments, key=lambda moment: moment.at)


def sendable(order: Order, may: May) -> list[int]:
    """The outbox messages about an order, without those about its money, that the user may resend now."""
    if not (may("outbox.view_outboxmessage") and may("outbox.resend_outboxmessage")):
        return []
    refunds = newest_refunds(order, most=MOST_REFUNDS)
    return [message.pk for message in messages_of(_event_ids(order, [], refunds)) if message.may_go_again]


def _order_itself(order: Order, reservation: Reservation | None) -> Iterator[TimelineEntry]:
    units = sum(item.quantity for item in order.items.all())
    placed = ngettext("%(count)d unit for %(amount)s", "%(count)d units for %(amount)s", units)
    detail = placed % {"count": units, "amount": won(order.paid_amount)}
    if reservation is not None:
        detail += " · " + _("from reservation %(reservation)s") % {"reservation": reservation}
    yield TimelineEntry(order.created_at, "shopping_cart", _("Placed and paid"), detail)
    if order.cancelled_at is not None:
        detail = _("%(amount)s refunded") % {"amount": won(order.paid_amount)}
        yield TimelineEntry(order.cancelled_at, "undo", _("Cancelled"), detail)


def _held(order: Order, reservation: Reservation, may: May) -> TimelineEntry:
    """When the units were held that the order has paid. A reservation is purged some weeks after its end."""
    names = {item.product_id: item.product_name for item in order.items.all()}
    units = (f"{quantity:,} × {names[product_id]}" for product_id, quantity in reservation.quantities.items())
    address = _page("reservations", "reservation", reservation.pk) if may("reservations.view_reservation") else ""
    title = _("Units held for a cart, until %(time)s") % {"time": _time(reservation.expires_at)}
    return TimelineEntry(reservation.created_at, "shopping_cart_checkout", title, ", ".join(units), address)


def _refunds(order: Order, refunds: "Iterable[Refund]") -> Iterator[TimelineEntry]:
    names = {item.product_id: item.product_name for item in order.items.all()}
    for refund in refunds:
        units = ", ".join(f"{line.quantity:,} × {names[line.product_id]}" for line in refund.lines)
        said = [_("%(amount)s refunded") % {"amount": won(refund.amount)}, units]
        if not refund.restock:
            said.append(_("not back in stock"))
        yield TimelineEntry(
            refund.created_at, "undo", _("Refunded"), " · ".join(said), _page("orders", "refund", refund.pk)
        )


def _coupon(order: Order, user_coupon: "UserCoupon", refunds: "Sequence[Refund]") -> Iterator[TimelineEntry]:
    address = _page("coupons", "usercoupon", user_coupon.pk)
    names = {"coupon": user_coupon.coupon.name}
    taken_off = won_moved(-order.discount_amount)
    yield TimelineEntry(order.created_at, "sell", _("Coupon used: %(coupon)s") % names, taken_off, address)
    returned_at = order.cancelled_at
    if order.status == OrderStatus.REFUNDED and refunds:
        returned_at = refunds[0].created_at
    if returned_at is None:
        return
    if user_coupon.expires_at > returned_at:
        detail = _("usable until %(time)s") % {"time": _time(user_coupon.expires_at)}
    else:
        detail = _("its time was over")
    yield TimelineEntry(returned_at, "sell", _("Coupon given back: %(coupon)s") % names, detail, address)


def _movement(movement: "StockMovement") -> TimelineEntry:
    return TimelineEntry(
        movement.created_at,
        "inventory_2",
        _("Stock of %(product)s: %(units)+d") % {"product": movement.product.name, "units": movement.quantity},
        movement.get_reason_display(),
        _page("products", "stockmovement", movement.pk),
    )


def _entry(entry: "LedgerEntry") -> TimelineEntry:
    return TimelineEntry(
        entry.created_at,
        "account_balance_wallet",
        f"{entry.get_type_display()} {won_moved(entry.amount)}",
        _("balance after: %(balance)s") % {"balance": won(entry.balance_after)},
        _page("balances", "ledgerentry", entry.pk),
    )


def _event_ids(order: Order, entries: "Iterable[LedgerEntry]", refunds: "Iterable[Refund]") -> list[str]:
    facts = [
        (ORDER_COMPLETED, order.pk, order.created_at),
        (ORDER_CANCELLED, order.pk, order.cancelled_at or order.created_at),
        *((ORDER_REFUNDED, refund.pk, refund.created_at) for refund in refunds),
        *((BALANCE_CHANGED, entry.pk, entry.created_at) for entry in entries),
    ]
    return [each for kind, number, at in facts for each in (event_id(kind, number, at), short_event_id(kind, number))]


def _messages(event_ids: Sequence[str], may: May) -> Iterator[TimelineEntry]:
    if not may("outbox.view_outboxmessage"):
        return
    by_event: dict[str, list[OutboxMessage]] = {}
    for message in messages_of(event_ids):
        by_event.setdefault(message.event_id, []).append(message)
    # Sorted explicitly: rows written by one statement have no order of their own.
    for each, messages in ((each, by_event[each]) for each in event_ids if each in by_event):
        title = _("Event %(event)s") % {"event": each}
        errors = [message.last_error for message in messages if message.last_error and message.sent_at is None]
        yield TimelineEntry(messages[0].created_at, "outbox", title, "; ".join(errors), marks=[*map(_mark, messages)])
    if by_event and may("outbox.view_deliveryattempt"):
        messages_by_id = {message.pk: message for messages in by_event.values() for message in messages}
        for attempt in deliveries_of(messages_by_id)[:MOST_DELIVERIES]:
            yield _delivery(attempt, messages_by_id[attempt.message_id])


def _mark(message: OutboxMessage) -> Mark:
    state = state_of(message)
    words = {WAITING: _("waiting"), PARKED: _("parked"), SENT: _("sent")}
    address = _page("outbox", "outboxmessage", message.pk)
    return Mark(f"{message.destination}: {words[state]}", COLOURS[state], address)


def _delivery(attempt: DeliveryAttempt, message: OutboxMessage) -> TimelineEntry:
    heard = _("no HTTP status") if attempt.http_status is None else f"HTTP {attempt.http_status}"
    took = _("%(milliseconds)d ms") % {"milliseconds": attempt.duration_ms}
    is_good = attempt.outcome == DeliveryOutcome.ACKNOWLEDGED
    return TimelineEntry(
        attempt.attempted_at,
        "local_shipping",
        _("Call to %(destination)s: %(event)s") % {"destination": attempt.destination, "event": message.event_id},
        " · ".join(part for part in (heard, took, attempt.error) if part),
        _page("outbox", "deliveryattempt", attempt.pk),
        [Mark(attempt.get_outcome_display(), "success" if is_good else "danger")],
    )


def _action(action: StaffAction, may: May) -> TimelineEntry:
    address = _page("audit", "staffaction", action.pk) if may("audit.view_staffaction") else ""
    title = _("%(action)s by %(actor)s") % {"action": action.in_words, "actor": action.actor.get_username()}
    return TimelineEntry(action.acted_at, "badge", title, action.reason, address)


def _page(app: str, model: str, row_id: Any) -> str:
    return reverse(f"admin:{app}_{model}_change", args=[row_id])


def _time(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"
