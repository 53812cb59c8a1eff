"""The read-only back-office list of stock movements."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter

from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.display import label
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.filters import DayRangeFilter, asks_for_days
from commerce.staff_pages.pages import ReadOnly
from products import selectors
from products.models import MovementReason, StockMovement

COLOURS = {
    MovementReason.OPENING: "info",
    MovementReason.SALE: "success",
    MovementReason.RETURN: "warning",
    MovementReason.ADJUSTMENT: "primary",
}


@admin.register(StockMovement)
class StockMovementAdmin(Exported, ReadOnly):
    """Stock movements."""

    list_display = ("id", "created_at", "product", "why", "units", "order", "actor", "note")
    list_filter = (
        ("product", AutocompleteSelectFilter),
        ("reason", ChoicesDropdownFilter),
        ("created_at", DayRangeFilter),
    )
    list_select_related = ("product",)
    search_fields = ("order_id__exact",)
    search_help_text = _("An order number.")
    fields = ("created_at", "product", "why", "units", "order", "actor", "note")
    readonly_fields = ("why", "units", "order", "actor")
    export_columns: ClassVar = (
        Column(_("number"), lambda movement: movement.pk),
        Column(_("created at"), lambda movement: movement.created_at),
        Column(_("product number"), lambda movement: movement.product_id),
        Column(_("product"), lambda movement: movement.product.name),
        Column(_("reason"), lambda movement: movement.get_reason_display()),
        Column(_("quantity"), lambda movement: movement.quantity),
        Column(_("order"), lambda movement: movement.order_id),
        Column(_("staff member"), lambda movement: movement.actor_name),
        Column(_("note"), lambda movement: movement.note),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[StockMovement]":
        return selectors.movements()

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Django would compare the ids as text, which no index supports."""
        term = search_term.strip().removeprefix("#")
        if not term:
            return queryset, False
        number = whole_number(term)
        return queryset.none() if number is None else queryset.filter(order_id=number), False

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order by time when filtered by days, so that the index on time is used.

        Ordered by id, PostgreSQL would scan from the newest rows back to these days: a second for a best seller.
        """
        return ("-created_at", "-id") if asks_for_days(request, "created_at") else ("-id",)

    @admin.display(description=_("reason"))
    def why(self, movement: StockMovement) -> str:
        return label(movement.get_reason_display(), COLOURS[MovementReason(movement.reason)])

    @admin.display(description=_("quantity"))
    def units(self, movement: StockMovement) -> str:
        return f"{movement.quantity:+,}"

    @admin.display(description=_("order"))
    def order(self, movement: StockMovement) -> str:
        if movement.order_id is None:
            return ""
        page = reverse("admin:orders_order_change", args=[movement.order_id])
        return format_html('<a class="text-link" href="{}">#{}</a>', page, movement.order_id)

    @admin.display(description=_("staff member"), empty_value="")
    def actor(self, movement: Any) -> str:
        return movement.actor_name or ""
