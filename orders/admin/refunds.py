"""The list of all refunds by line: who gave back what, when, of which order. Nobody edits one.

Contains the pages. The right to view orders opens them; there is no right of its own. A cancelled order is
not a refund by line: the list of orders has it.
"""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter

from commerce.staff_pages.display import label, won
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.filters import DayRangeFilter
from commerce.staff_pages.pages import ReadOnly
from orders import selectors
from orders.admin import searching
from orders.models import Order, Refund

ITEMS_IN_A_ROW = 3
BACK, NOT_BACK = "yes", "no"


class RestockFilter(RadioFilter):
    """Whether the units can be sold again."""

    title = _("back in stock")
    parameter_name = "restock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(BACK, _("back in stock")), (NOT_BACK, _("not back in stock"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Refund]") -> "QuerySet[Refund]":
        if self.value() not in (BACK, NOT_BACK):
            return queryset
        return queryset.filter(restock=self.value() == BACK)


def _units(refund: Refund) -> list[tuple[str, int, str]]:
    """Units, product id and name of each refunded item, in the order of the request."""
    return [(f"{item.quantity:,}", item.product_id, item.product.name) for item in refund.items.all()]


@admin.register(Refund)
class RefundAdmin(ReadOnly, Exported):
    """What staff have given back of orders, line by line."""

    list_display = ("id", "at", "order_page", "customer", "units", "given_back", "stock", "staff", "reason")
    list_display_links = ("id",)
    list_filter = (("created_at", DayRangeFilter), RestockFilter)
    # A list that is sorted by anything else would have to read all refunds.
    sortable_by = ("at",)
    search_fields = ("order_id",)
    search_help_text = _("Number of the order, customer, email or product")
    ordering = ("-created_at", "-pk")
    fields = ("order_page", "customer", "products", "given_back", "stock", "reason", "staff", "at", "receipt")
    readonly_fields = ("order_page", "customer", "products", "given_back", "stock", "staff", "at", "receipt")
    export_columns: ClassVar = (
        Column(_("number"), lambda refund: refund.pk),
        Column(_("when"), lambda refund: refund.created_at),
        Column(_("order"), lambda refund: refund.order_id),
        Column(_("customer's number"), lambda refund: refund.order.user_id),
        Column(_("customer"), lambda refund: refund.order.user.get_username()),
        Column(_("items"), lambda refund: "; ".join(f"{units} × {name}" for units, _id, name in _units(refund))),
        Column(_("refunded (won)"), lambda refund: refund.amount),
        Column(_("back in stock"), lambda refund: refund.restock),
        Column(_("reason"), lambda refund: refund.reason),
        Column(_("staff member"), lambda refund: refund.staff_name),
    )

    def has_view_permission(self, request: HttpRequest, obj: Refund | None = None) -> bool:
        return bool(request.user.has_perm("orders.view_order"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("orders.export_order"))

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Refund]":
        return selectors.refunds_for_staff(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Refund]", search_term: str
    ) -> "tuple[QuerySet[Refund], bool]":
        """The refunds of the orders that the list of orders would find."""
        if not search_term.strip():
            return queryset, False
        found = searching.found(Order.objects.order_by(), search_term)
        if found.remark:
            self.message_user(request, found.remark, messages.WARNING)
        return queryset.filter(order__in=found.orders.values("pk")), False

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._without_closed_pages(request, super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Refund | None = None) -> Any:
        return self._without_closed_pages(request, super().get_fields(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Refund | None = None) -> Any:
        return self._without_closed_pages(request, super().get_readonly_fields(request, obj))

    def _without_closed_pages(self, request: HttpRequest, names: Any) -> tuple[str, ...]:
        """Without links to pages that the reader may not see."""
        plain = {}
        if not request.user.has_perm("balances.view_user"):
            plain["customer"] = "customer_name"
        if not request.user.has_perm("products.view_product"):
            plain["products"] = "units"
        return tuple(plain.get(name, name) for name in names)

    @admin.display(description=_("when"), ordering="created_at")
    def at(self, refund: Refund) -> str:
        return f"{timezone.localtime(refund.created_at):%Y-%m-%d %H:%M}"

    @admin.display(description=_("order"))
    def order_page(self, refund: Refund) -> str:
        page = reverse("admin:orders_order_change", args=[refund.order_id])
        return format_html('<a class="text-link" href="{}">#{}</a>', page, refund.order_id)

    @admin.display(description=_("customer"))
    def customer(self, refund: Refund) -> str:
        page = reverse("admin:balances_user_change", args=[refund.order.user_id])
        return format_html('<a class="text-link" href="{}">{}</a>', page, refund.order.user.get_username())

    @admin.display(description=_("customer"))
    def customer_name(self, refund: Refund) -> str:
        return refund.order.user.get_username()

    @admin.display(description=_("items"))
    def units(self, refund: Refund) -> str:
        items = [f"{units} × {name}" for units, _id, name in _units(refund)]
        shown = ", ".join(items[:ITEMS_IN_A_ROW])
        return f"{shown} …" if len(items) > ITEMS_IN_A_ROW else shown

    @admin.display(description=_("items"))
    def products(self, refund: Refund) -> str:
        rows = [
            (units, reverse("admin:products_product_change", args=[product_id]), name)
            for units, product_id, name in _units(refund)
        ]
        return format_html_join("", '<p>{} × <a class="text-link" href="{}">{}</a></p>', rows)

    @admin.display(description=_("refunded"))
    def given_back(self, refund: Refund) -> str:
        return won(refund.amount)

    @admin.display(description=_("stock"))
    def stock(self, refund: Refund) -> str:
        return label(str(_("back in stock")), "success") if refund.restock else label(str(_("not back in stock")), "")

    @admin.display(description=_("staff member"))
    def staff(self, refund: Refund) -> str:
        return getattr(refund, "staff_name", None) or f"#{refund.staff_id}"

    @admin.display(description=_("on paper"))
    def receipt(self, refund: Refund) -> str:
        """The receipt of the order has all its refunds."""
        page = reverse("admin:orders_order_receipt", args=[refund.order_id])
        return format_html('<a class="text-link" href="{}">{}</a>', page, _("Receipt"))
