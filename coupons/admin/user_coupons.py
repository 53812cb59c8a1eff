"""The read-only back-office pages of issued coupons."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RadioFilter

from commerce.staff_pages.display import label
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.filters import DayRangeFilter
from commerce.staff_pages.pages import ReadOnly
from coupons.models import UserCoupon, UserCouponStatus
from coupons.selectors import EXPIRED, status_at, status_conditions

STATUS_NAMES = {**dict(UserCouponStatus.choices), EXPIRED: _("Expired")}
STATUS_COLOURS = {
    UserCouponStatus.AVAILABLE.value: "info",
    UserCouponStatus.USED.value: "success",
    EXPIRED: "",
}

MOST_ORDERS = 20
FIELDS = ("user_id", "coupon_id", "status", "issued_at", "expires_at", "used_at")
NAMES = ("user__username", "coupon__name")


def status_name(status: str) -> str:
    """A status of `coupons.selectors.status_at` in the reader's language."""
    return str(STATUS_NAMES[status])


class StatusFilter(RadioFilter):
    """Filter by status as customers see it, with EXPIRED as a status of its own."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return tuple(STATUS_NAMES.items())

    def queryset(self, request: HttpRequest, queryset: "QuerySet[UserCoupon]") -> "QuerySet[UserCoupon]":
        chosen = status_conditions(timezone.now()).get(self.value() or "")
        return queryset.filter(chosen) if chosen is not None else queryset


@admin.register(UserCoupon)
class UserCouponAdmin(Exported, ReadOnly):
    """Issued coupons."""

    list_display = ("id", "user", "coupon", "shown_status", "issued_at", "expires_at", "used_at")
    list_filter = (("coupon", AutocompleteSelectFilter), StatusFilter, ("issued_at", DayRangeFilter))
    search_fields = ("user__username__iexact",)
    search_help_text = _("A user name.")
    ordering = ("-id",)
    fields = ("user", "coupon", "shown_status", "used_for", "issued_at", "expires_at", "used_at")
    readonly_fields = ("shown_status", "used_for")
    export_columns = (
        Column(_("number"), lambda user_coupon: user_coupon.pk),
        Column(_("coupon number"), lambda user_coupon: user_coupon.coupon_id),
        Column(_("coupon"), lambda user_coupon: user_coupon.coupon_name),
        Column(_("user number"), lambda user_coupon: user_coupon.user_id),
        Column(_("user"), lambda user_coupon: user_coupon.user_name),
        Column(_("status"), lambda user_coupon: status_name(status_at(user_coupon, timezone.now()))),
        Column(_("issued at"), lambda user_coupon: user_coupon.issued_at),
        Column(_("expires at"), lambda user_coupon: user_coupon.expires_at),
        Column(_("used at"), lambda user_coupon: user_coupon.used_at),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[UserCoupon]":
        return super().get_queryset(request).select_related("user", "coupon").only(*FIELDS, *NAMES)

    def get_export_queryset(self, request: HttpRequest) -> "QuerySet[UserCoupon]":
        # Names as annotations, not a user and a coupon object for each row.
        rows: QuerySet[UserCoupon] = super().get_export_queryset(request).select_related(None).only(*FIELDS)
        return rows.annotate(user_name=F("user__username"), coupon_name=F("coupon__name"))

    def get_fields(self, request: HttpRequest, obj: UserCoupon | None = None) -> Any:
        """Hide the orders from readers without the permission to view them."""
        return [name for name in self.fields if name != "used_for" or request.user.has_perm("orders.view_order")]

    @admin.display(description=_("orders"))
    def used_for(self, user_coupon: UserCoupon) -> str:
        """The orders that have used it, cancelled ones too, newest first."""
        numbers = user_coupon.orders.order_by("-pk").values_list("pk", flat=True)[:MOST_ORDERS]
        pages = [(reverse("admin:orders_order_change", args=[number]), number) for number in numbers]
        return format_html_join(", ", '<a class="text-link" href="{}">#{}</a>', pages) or "–"

    @admin.display(description=_("status"))
    def shown_status(self, user_coupon: UserCoupon) -> str:
        status = status_at(user_coupon, timezone.now())
        return label(status_name(status), STATUS_COLOURS[status])
