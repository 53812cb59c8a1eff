"""The read-only back-office pages of reservations."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter

from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.display import label
from commerce.staff_pages.filters import DayRangeFilter
from commerce.staff_pages.pages import ReadOnly
from reservations.models import Reservation, ReservationItem, ReservationStatus
from reservations.rules import shown_status

COLOURS = {
    ReservationStatus.HELD.value: "info",
    ReservationStatus.PAID.value: "success",
    ReservationStatus.RELEASED.value: "",
    ReservationStatus.REPLACED.value: "",
    ReservationStatus.EXPIRED.value: "warning",
}
ITEMS_IN_A_ROW = 3


class StatusFilter(RadioFilter):
    """Filter by status as customers see it: EXPIRED from `expires_at` on, even if its units are still held."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return tuple(ReservationStatus.choices)

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Reservation]") -> "QuerySet[Reservation]":
        chosen = self.value()
        now = timezone.now()
        if chosen == ReservationStatus.HELD:
            return queryset.filter(status=chosen, expires_at__gt=now)
        if chosen == ReservationStatus.EXPIRED:
            return queryset.filter(Q(status=chosen) | Q(status=ReservationStatus.HELD, expires_at__lte=now))
        return queryset.filter(status=chosen) if chosen in ReservationStatus.values else queryset


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    """Stock held for customers' carts."""

    list_display = ("id", "user", "shown_status", "units", "created_at", "expires_at", "ended_at", "paid_by")
    list_filter = (StatusFilter, ("created_at", DayRangeFilter))
    search_fields = ("user__username__iexact",)
    search_help_text = _("A user name, or the number of an order.")
    ordering = ("-id",)
    fields = ("user", "shown_status", "products", "created_at", "expires_at", "ended_at", "paid_by")
    readonly_fields = ("shown_status", "products", "paid_by")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Reservation]":
        items = Prefetch("items", ReservationItem.objects.select_related("product"))
        return super().get_queryset(request).select_related("user").prefetch_related(items)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Search by order id or customer, each with an index."""
        number = whole_number(search_term.strip().removeprefix("#"))
        if number is not None:
            return queryset.filter(order_id=number), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("status"))
    def shown_status(self, reservation: Reservation) -> str:
        status = shown_status(reservation.status, reservation.expires_at, timezone.now())
        return label(str(ReservationStatus(status).label), COLOURS[status])

    @admin.display(description=_("items"))
    def units(self, reservation: Reservation) -> str:
        items = list(reservation.items.all())
        shown = ", ".join(f"{item.quantity:,} × {item.product.name}" for item in items[:ITEMS_IN_A_ROW])
        return f"{shown} …" if len(items) > ITEMS_IN_A_ROW else shown

    @admin.display(description=_("items"))
    def products(self, reservation: Reservation) -> str:
        rows = [
            (f"{item.quantity:,}", reverse("admin:products_product_change", args=[item.product_id]), item.product.name)
            for item in reservation.items.all()
        ]
        return format_html_join("", '<p>{} × <a class="text-link" href="{}">{}</a></p>', rows)

    @admin.display(description=_("order"), empty_value="")
    def paid_by(self, reservation: Reservation) -> str | None:
        if reservation.order_id is None:
            return None
        page = reverse("admin:orders_order_change", args=[reservation.order_id])
        return format_html('<a class="text-link" href="{}">#{}</a>', page, reservation.order_id)
