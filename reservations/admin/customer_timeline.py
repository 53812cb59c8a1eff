"""Timeline entries of reservations on a customer's page."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from commerce.staff_pages.timeline import Mark, May, TimelineEntry, TimelineSource, add_timeline_source
from reservations.admin.pages import COLOURS
from reservations.models import Reservation, ReservationStatus
from reservations.rules import shown_status


def _moments(user_id: int, before: datetime | None, most: int, _may: May) -> Iterator[TimelineEntry]:
    reservations = Reservation.objects.filter(user_id=user_id).prefetch_related("items__product")
    if before is not None:
        reservations = reservations.filter(created_at__lt=before)
    now = timezone.now()
    for reservation in reservations.order_by("-id")[:most]:
        status = shown_status(reservation.status, reservation.expires_at, now)
        yield TimelineEntry(
            reservation.created_at,
            "shopping_cart_checkout",
            _("Units held for a cart, until %(time)s")
            % {"time": f"{timezone.localtime(reservation.expires_at):%Y-%m-%d %H:%M}"},
            ", ".join(f"{item.quantity:,} × {item.product.name}" for item in reservation.items.all()),
            reverse("admin:reservations_reservation_change", args=[reservation.pk]),
            [Mark(str(ReservationStatus(status).label), COLOURS[status])],
        )


add_timeline_source("reservations", TimelineSource("reservations.view_reservation", _moments))
