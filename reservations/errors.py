"""Refusals of reservation operations."""

from typing import Annotated, NotRequired, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import NotFound, Refused


class ReservationNotFound(NotFound):
    """The caller has no such reservation, or it was deleted some time after its end."""

    code = "reservation_not_found"
    title = _("Reservation not found")

    def __init__(self, reservation_id: int) -> None:
        self.reservation_id = reservation_id

    @property
    def detail(self) -> str | Promise:
        return _("You have no reservation %(reservation_id)d.") % {"reservation_id": self.reservation_id}


class EndedReservation(TypedDict):
    reservationStatus: Annotated[str, Meta(description="Why: `EXPIRED`, `RELEASED`, `REPLACED` or `PAID`.")]
    orderId: NotRequired[Annotated[int, Meta(description="With PAID: the order that has paid it.")]]


class ReservationExpired(Refused):
    """The reservation is not active any more: it has expired, was released or replaced, or has been ordered."""

    code = "reservation_expired"
    title = _("Reservation expired")

    def __init__(self, reservation_id: int, status: str, order_id: int | None) -> None:
        self.reservation_id = reservation_id
        self.status = status
        self.order_id = order_id

    @property
    def detail(self) -> str | Promise:
        return _("Reservation %(reservation_id)d is %(status)s.") % {
            "reservation_id": self.reservation_id,
            "status": self.status,
        }

    @property
    def fields(self) -> EndedReservation:
        if self.order_id is None:
            return {"reservationStatus": self.status}
        return {"reservationStatus": self.status, "orderId": self.order_id}
