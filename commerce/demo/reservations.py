"""The demo's reservations: live ones, and some that ended in each way, of products with enough stock."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from orders.models import Order
from products.models import Product
from reservations.models import Reservation, ReservationItem, ReservationStatus

PAID_ORDERS = 5
"""The number of the newest orders that were paid from a reservation."""
ENDED = (
    (2, ReservationStatus.RELEASED, 95, 4),
    (3, ReservationStatus.REPLACED, 80, 2),
    (3, ReservationStatus.RELEASED, 78, 5),
    (4, ReservationStatus.EXPIRED, 61, None),
    (5, ReservationStatus.EXPIRED, 34, None),
)
"""Customer, how it ended, how many minutes ago it began, and how many it lasted; None: all of its time."""
HELD = ((6, 3, (2, 1)), (7, 2, (1,)), (8, 1, (3, 1, 2)))
"""Customer, how many minutes ago it began, and the units of each product."""
ENOUGH = 5


def hold_carts(now: datetime) -> None:
    """Write them. The shop must be there; must be called inside a transaction."""
    kept = timedelta(minutes=settings.RESERVATION_MINUTES)
    for order in Order.objects.order_by("-id")[:PAID_ORDERS][::-1]:
        began = order.created_at - kept / 2
        units = {line.product_id: line.quantity for line in order.lines}
        _write(order.user_id, units, ReservationStatus.PAID, began, ended_at=order.created_at, order_id=order.pk)
    products = list(
        Product.objects.filter(is_active=True, stock__gte=F("held") + ENOUGH)
        .order_by("id")
        .values_list("id", flat=True)
    )
    for number, (user_id, status, minutes_ago, lasted) in enumerate(ENDED):
        began = now - timedelta(minutes=minutes_ago)
        ended_at = began + (kept if lasted is None else min(kept, timedelta(minutes=lasted)))
        _write(user_id, {products[number % len(products)]: 1}, status, began, ended_at=min(ended_at, now))
    for number, (user_id, minutes_ago, quantities) in enumerate(HELD):
        chosen = [products[(number + position) % len(products)] for position in range(len(quantities))]
        units = dict(zip(chosen, quantities, strict=True))
        _write(user_id, units, ReservationStatus.HELD, now - min(timedelta(minutes=minutes_ago), kept / 2))
        for product_id, quantity in units.items():
            Product.objects.filter(pk=product_id).update(held=F("held") + quantity)


def _write(
    user_id: int,
    units: Mapping[int, int],
    status: ReservationStatus,
    began: datetime,
    *,
    ended_at: datetime | None = None,
    order_id: int | None = None,
) -> None:
    reservation = Reservation.objects.create(
        user_id=user_id,
        status=status,
        created_at=began,
        expires_at=began + timedelta(minutes=settings.RESERVATION_MINUTES),
        ended_at=ended_at,
        order_id=order_id,
    )
    ReservationItem.objects.bulk_create(
        ReservationItem(reservation=reservation, product_id=product_id, quantity=quantity)
        for product_id, quantity in units.items()
    )
