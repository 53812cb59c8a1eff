"""Filters of the list of orders. Each choice has an index or matches many rows; none lists a large table."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter, RangeNumericFilter
from unfold.contrib.filters.forms import AutocompleteDropdownForm

from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.filters import DateRangeFilter
from orders import selectors
from orders.models import Order, OrderItem, OrderStatus

DAY = "ordered_date"
WITH, WITHOUT = "with", "without"
SEEN = (OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.REFUNDED)
"""The statuses of committed orders."""


class StatusFilter(DropdownFilter):
    """Filter by the statuses of committed orders."""

    title = _("status")
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(status.value, status.label) for status in SEEN]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Order]") -> "QuerySet[Order]":
        return queryset.filter(status=self.value()) if self.value() else queryset


class CouponUseFilter(DropdownFilter):
    """Filter by whether a coupon was used."""

    title = _("coupon used")
    parameter_name = "coupon"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(WITH, _("with a coupon")), (WITHOUT, _("without a coupon"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Order]") -> "QuerySet[Order]":
        if self.value() not in (WITH, WITHOUT):
            return queryset
        return queryset.filter(user_coupon__isnull=self.value() == WITHOUT)


class RefundFilter(DropdownFilter):
    """Filter orders with refunds."""

    title = _("refunds")
    parameter_name = "refunds"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(WITH, _("with refunds"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Order]") -> "QuerySet[Order]":
        return queryset.filter(refunded_units__gt=0) if self.value() == WITH else queryset


class CustomerFilter(AutocompleteSelectFilter):
    """The orders of one account."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("customer")


class ProductFilter(admin.SimpleListFilter):
    """The orders with one product, chosen by autocomplete.

    Not the library's filter, which adds DISTINCT for a to-many relation and so sorts all matches.
    """

    title = _("product")
    parameter_name = "product"
    template = "unfold/filters/filters_field.html"
    form_class = AutocompleteDropdownForm
    field = OrderItem._meta.get_field("product")
    """The foreign key that the filter's value is for."""

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self._request, self._page = request, model_admin

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return ()

    def has_output(self) -> bool:
        return True

    @property
    def _product_id(self) -> int | None:
        return whole_number(self.value() or "")

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {
            "form": self.form_class(
                request=self._request,
                label=_(" By %(filter_title)s ") % {"filter_title": self.title},
                name=self.parameter_name,
                choices=(),
                field=self.field,
                model_admin=self._page,
                data={self.parameter_name: self._product_id},
            )
        }

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Order]") -> "QuerySet[Order]":
        if not self.value():
            return queryset
        return queryset.none() if self._product_id is None else selectors.with_products(queryset, [self._product_id])


ALL: tuple[tuple[Any, str], ...] = (
    (StatusFilter, ""),
    ((DAY, DateRangeFilter), ""),
    (("paid_amount", RangeNumericFilter), ""),
    (("user", CustomerFilter), "balances.view_user"),
    (ProductFilter, "products.view_product"),
    (CouponUseFilter, ""),
    (RefundFilter, ""),
    (("user_coupon__coupon", AutocompleteSelectFilter), "coupons.view_coupon"),
)
"""The filters, each with the permission that it requires."""
