"""Queries on reservations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, QuerySet
from django.utils import timezone

from reservations.errors import ReservationNotFound
from reservations.models import Reservation, ReservationItem, ReservationStatus


@dataclass(frozen=True, slots=True)
class Expired:
    """The expired reservations that still held stock of some given products.

    Attributes:
        next_at: when the first of the others is over; None where there is no other. Until then no more can be.
    """

    reservations: Sequence[Reservation] = ()
    next_at: datetime | None = None

    @property
    def product_ids(self) -> set[int]:
        """The ids of all products in them."""
        return {product_id for each in self.reservations for product_id in each.quantities}


def reservation_for(reservation_id: int, *, owner_id: int) -> Reservation:
    """One reservation of this customer, with its items. Raises ReservationNotFound, also for another customer's."""
    reservation = _with_items().filter(pk=reservation_id, user_id=owner_id).first()
    if reservation is None:
        raise ReservationNotFound(reservation_id)
    return reservation


def held_by(user_id: int) -> Reservation | None:
    """The customer's reservation that holds stock, with its items; it may be expired."""
    return _with_items().filter(user_id=user_id, status=ReservationStatus.HELD).first()


def paid_by(order_id: int) -> Reservation | None:
    """The reservation that an order was paid from, with its items; None where there was none, or it is forgotten."""
    return _with_items().filter(order_id=order_id).first()


def live_of(user_id: int, *, now: datetime) -> list[Reservation]:
    """The customer's reservation that can be paid from, if there is one."""
    return list(_with_items().filter(user_id=user_id, status=ReservationStatus.HELD, expires_at__gt=now))


def expired_on(product_ids: Iterable[int]) -> Expired:
    """The expired reservations that still hold stock of these products."""
    now = timezone.now()
    holding = ReservationItem.objects.order_by().filter(product_id__in=list(product_ids)).values("reservation_id")
    held = Reservation.objects.order_by().filter(status=ReservationStatus.HELD, pk__in=holding)
    next_at = held.filter(expires_at__gt=now).aggregate(next_at=Min("expires_at"))["next_at"]
    return Expired(list(held.filter(expires_at__lte=now).order_by("pk").prefetch_related("items")), next_at)


def expired(*, most: int, after: int) -> list[Reservation]:
    """Up to `most` expired reservations that still hold stock, by id above `after`."""
    over = _with_items().filter(status=ReservationStatus.HELD, expires_at__lte=timezone.now(), pk__gt=after)
    return list(over.order_by("pk")[:most])


def _with_items() -> "QuerySet[Reservation]":
    return Reservation.objects.prefetch_related("items")
