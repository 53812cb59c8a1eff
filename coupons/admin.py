"""Coupons and who holds them in the back-office. What was promised to holders is not changed any more."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from commerce.staff_pages.forms import OpenedForm
from commerce.staff_pages.pages import ReadOnly, ThroughServices
from coupons import services
from coupons.models import Coupon, DiscountType, UserCoupon
from coupons.rules import FIXED_ONCE_ISSUED

MOST_WON = 2**53
MOST_UNITS = 10_000_000


_TERMS = (
    "name",
    "discount_type",
    "discount_value",
    "max_discount",
    "min_order_amount",
    "total_quantity",
    "issue_starts_at",
    "issue_ends_at",
    "valid_until",
)


class CouponForm(OpenedForm):
    """A coupon's terms; the database holds the same rules, these say them to a person."""

    watched = _TERMS

    discount_value = forms.IntegerField(
        label=_("discount value"),
        min_value=1,
        max_value=MOST_WON,
        help_text=_("Won for a fixed amount, 1 to 100 for a percentage."),
    )
    max_discount = forms.IntegerField(
        label=_("most it takes off (won)"),
        min_value=1,
        max_value=MOST_WON,
        required=False,
        help_text=_("For a percentage; empty for no limit."),
    )
    min_order_amount = forms.IntegerField(
        label=_("least order amount (won)"), min_value=0, max_value=MOST_WON, initial=0
    )
    total_quantity = forms.IntegerField(label=_("units"), min_value=1, max_value=MOST_UNITS)

    class Meta:
        model = Coupon
        fields = _TERMS

    def clean(self) -> dict[str, Any]:
        stored = {name: getattr(self.instance, name) for name in self.watched}
        values = {**stored, **self.cleaned_data}
        self._check_discount(values)
        self._check_times(values)
        if self.instance.issued_count and values["total_quantity"] < stored["total_quantity"]:
            self._refuse("total_quantity", _("Units can only be added once the coupon has been issued."))
        return self.cleaned_data

    def _check_discount(self, values: dict[str, Any]) -> None:
        if values["discount_type"] == DiscountType.PERCENT and (values["discount_value"] or 0) > 100:
            self._refuse("discount_value", _("A percentage is 1 to 100."))

    def _check_times(self, values: dict[str, Any]) -> None:
        starts, ends, valid = values["issue_starts_at"], values["issue_ends_at"], values["valid_until"]
        if starts and ends and starts >= ends:
            self._refuse("issue_ends_at", _("The issue ends before it starts."))
        if ends and valid and ends > valid:
            self._refuse("valid_until", _("A coupon issued at the end of the issue could never be used."))

    def _refuse(self, field: str, why: Any) -> None:
        if field in self.fields and field in self.cleaned_data:
            self.add_error(field, why)


class WindowFilter(admin.SimpleListFilter):
    """Whether the coupon can be had now."""

    title = _("window")
    parameter_name = "window"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return (("open", _("open")), ("sold-out", _("sold out")), ("coming", _("coming")), ("over", _("over")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Coupon]") -> "QuerySet[Coupon]":
        now = timezone.now()
        running = Q(issue_starts_at__lte=now, issue_ends_at__gt=now)
        chosen = {
            "open": running & Q(issued_count__lt=F("total_quantity")),
            "sold-out": running & Q(issued_count=F("total_quantity")),
            "coming": Q(issue_starts_at__gt=now),
            "over": Q(issue_ends_at__lte=now),
        }.get(self.value() or "")
        return queryset.filter(chosen) if chosen is not None else queryset


@admin.register(Coupon)
class CouponAdmin(ThroughServices):
    """Discounts with a limited number of units."""

    list_display = (
        "id",
        "name",
        "discount_type",
        "discount_value",
        "issued_count",
        "total_quantity",
        "issue_starts_at",
        "issue_ends_at",
        "valid_until",
    )
    list_display_links = ("id", "name")
    list_filter = (WindowFilter, "discount_type")
    search_fields = ("id__exact", "name")
    ordering = ("-id",)
    form = CouponForm

    def get_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        return (*_TERMS, *(("issued_count", "created_at", "opened") if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        fixed = FIXED_ONCE_ISSUED if obj and obj.issued_count else ()
        return ("issued_count", "created_at", *fixed)

    def save_model(self, request: HttpRequest, obj: Coupon, form: CouponForm, change: bool) -> None:
        services.save_coupon(obj, seen=form.seen)


@admin.register(UserCoupon)
class UserCouponAdmin(ReadOnly):
    """Who holds which coupon."""

    list_display = ("id", "user", "coupon", "status", "issued_at", "expires_at", "used_at")
    list_filter = ("status",)
    list_select_related = ("user", "coupon")
    search_fields = ("user__username__exact", "coupon__id__exact")
    search_help_text = _("A user name or a coupon's number.")
    ordering = ("-id",)
