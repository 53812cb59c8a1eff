"""The back-office pages of coupons: state, units issued and used, holders, and ending an issue.

Once a coupon is issued, the terms that its holders rely on are read-only.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from commerce.audit.record import Staff
from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.display import won
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.forms import Form
from commerce.staff_pages.pages import LongList, ServiceAdmin, staff_id
from coupons import selectors, services
from coupons.admin.forms import CouponForm, NewCouponForm, StopForm, copied
from coupons.admin.user_coupons import STATUS_COLOURS, status_name
from coupons.errors import CouponNotRunning
from coupons.models import Coupon, CouponState, DiscountType
from coupons.rules import FIXED_ONCE_ISSUED

HOLDERS_SHOWN = 50
COPY_OF = "copy_of"
"""The query parameter of the page for a new coupon that names the coupon to copy."""
STATE_COLOURS = {
    CouponState.SCHEDULED.value: "info",
    CouponState.OPEN.value: "success",
    CouponState.SOLD_OUT.value: "warning",
    CouponState.ENDED.value: "",
}


class StateFilter(RadioFilter):
    """Filter by `CouponState`."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return CouponState.choices

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Coupon]") -> "QuerySet[Coupon]":
        if self.value() not in CouponState.values:
            return queryset
        return queryset.filter(selectors.state_conditions(timezone.now())[CouponState(self.value())])


class CouponList(LongList):
    """The list, with one query for the used counts of the coupons on the page."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        used = selectors.used_counts([coupon.pk for coupon in self.result_list])
        for coupon in self.result_list:
            coupon.used_count = used.get(coupon.pk, 0)


def discount_of(coupon: Coupon) -> str:
    """₩1,000, or 15% (up to ₩5,000)."""
    if coupon.discount_type == DiscountType.FIXED:
        return won(coupon.discount_value)
    if coupon.max_discount is None:
        return f"{coupon.discount_value}%"
    return gettext("%(percent)d%% (up to %(cap)s)") % {
        "percent": coupon.discount_value,
        "cap": won(coupon.max_discount),
    }


def _is_running(coupon: Any) -> bool:
    return coupon.state in (CouponState.OPEN, CouponState.SOLD_OUT)


def progress(done: int, of: int) -> str:
    """A progress bar with its numbers. Rounds down, so 100% means all."""
    percent = done * 100 // of if of else 0
    bar = {"title": f"{done:,} / {of:,}", "description": f"{percent}%", "items": [{"value": min(percent, 100)}]}
    return format_html(
        '<div class="grow min-w-32 whitespace-nowrap">{}</div>',
        render_to_string("unfold/components/progress.html", bar),
    )


@admin.register(Coupon)
class CouponAdmin(Exported, ServiceAdmin):
    """Discounts with a limited quantity."""

    list_display = ("id", "name", "state", "discount", "issued", "used", "issue_starts_at", "issue_ends_at")
    list_display_links = ("id", "name")
    list_filter = (StateFilter, ("discount_type", ChoicesDropdownFilter))
    search_fields = ("id__exact", "name")
    search_help_text = _("A number or a part of the name.")
    ordering = ("-id",)
    form = CouponForm
    change_form_template = "admin/coupons/coupon/change_form.html"
    export_columns = (
        Column(_("number"), lambda coupon: coupon.pk),
        Column(_("name"), lambda coupon: coupon.name),
        Column(_("state"), lambda coupon: CouponState(coupon.state).label),
        Column(_("discount type"), lambda coupon: coupon.discount_type),
        Column(_("discount value"), lambda coupon: coupon.discount_value),
        Column(_("most it takes off (won)"), lambda coupon: coupon.max_discount),
        Column(_("least order amount (won)"), lambda coupon: coupon.min_order_amount),
        Column(_("units"), lambda coupon: coupon.total_quantity),
        Column(_("issued"), lambda coupon: coupon.issued_count),
        Column(_("used"), lambda coupon: coupon.used_count),
        Column(_("issue starts at"), lambda coupon: coupon.issue_starts_at),
        Column(_("issue ends at"), lambda coupon: coupon.issue_ends_at),
        Column(_("valid until"), lambda coupon: coupon.valid_until),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Coupon]":
        return selectors.with_state(super().get_queryset(request), timezone.now())

    def get_export_queryset(self, request: HttpRequest) -> "QuerySet[Coupon]":
        return selectors.with_used_count(super().get_export_queryset(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CouponList]:
        return CouponList

    @display(description=_("state"), label=STATE_COLOURS)
    def state(self, coupon: Any) -> Any:
        return coupon.state, CouponState(coupon.state).label

    @admin.display(description=_("discount"))
    def discount(self, coupon: Coupon) -> str:
        return discount_of(coupon)

    @admin.display(description=_("issued"), ordering="issued_count")
    def issued(self, coupon: Coupon) -> str:
        return progress(coupon.issued_count, coupon.total_quantity)

    @admin.display(description=_("used"))
    def used(self, coupon: Any) -> str:
        return progress(coupon.used_count, coupon.issued_count)

    def get_form(
        self, request: HttpRequest, obj: Coupon | None = None, change: bool = False, **kwargs: Any
    ) -> type[Form]:
        # Django excludes read-only fields for `self.form` only.
        return super().get_form(request, obj, change, **({} if change else {"form": NewCouponForm}), **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Prefill a new coupon with the terms of the coupon that `COPY_OF` names, if any."""
        number = whole_number(request.GET.get(COPY_OF, ""))
        coupon = self.get_object(request, str(number)) if number is not None else None
        return super().get_changeform_initial_data(request) if coupon is None else copied(coupon, timezone.now())

    def get_fieldsets(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        zone = _("Times are those of %(zone)s.") % {"zone": settings.TIME_ZONE}
        windows = ("total_quantity", "issue_starts_at", "issue_ends_at", "valid_until")
        fixed = _("It has been issued, so its discount and its start stay as they are.")
        return (
            (None, {"fields": ("name",)}),
            (
                _("Discount"),
                {
                    "fields": ("discount_type", "discount_value", "max_discount", "min_order_amount"),
                    "description": fixed if obj and obj.issued_count else None,
                },
            ),
            (
                _("Units and times"),
                {
                    "fields": (*windows, *(("created_at", "opened") if obj else ("form_key",)), "confirmed"),
                    "description": zone,
                },
            ),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        return ("created_at", *(FIXED_ONCE_ISSUED if obj and obj.issued_count else ()))

    def save_model(self, request: HttpRequest, obj: Coupon, form: Any, change: bool) -> None:
        by = Staff(staff_id(request))
        if change:
            services.save_coupon(obj, by=by, seen=form.seen)
            return
        obj.pk = int(
            form.act_once(
                lambda idempotency: services.create_coupon(obj, by=by, idempotency=idempotency),
                lambda coupon: str(coupon.pk),
                staff_id=by.id,
                path=request.path,
            )
        )

    def shown_beside(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Context shown above the form: progress and the latest holders."""
        now = timezone.now()
        tally = selectors.tally(row.pk)
        may_see_holders = request.user.has_perm("coupons.view_usercoupon")
        holders = selectors.latest_holders(row.pk, most=HOLDERS_SHOWN) if may_see_holders else []
        statuses = [selectors.status_at(user_coupon, now) for user_coupon in holders]
        return {
            "state": CouponState(row.state).label,
            "state_colour": STATE_COLOURS[row.state],
            "discount": discount_of(row),
            "tally": tally,
            "issued_bar": progress(tally.issued_count, row.total_quantity),
            "used_bar": progress(tally.used, tally.issued_count),
            "may_see_holders": may_see_holders,
            "holders": [
                (user_coupon, status_name(status), STATUS_COLOURS[status])
                for user_coupon, status in zip(holders, statuses, strict=True)
            ],
            "may_stop": self._may_stop(request, row),
            "copy_page": self._copy_page(request, row),
        }

    def _copy_page(self, request: HttpRequest, coupon: Coupon) -> str:
        """The URL that copies this coupon; empty without the permission to add one."""
        may_add = self.has_add_permission(request)
        return f"{reverse('admin:coupons_coupon_add')}?{COPY_OF}={coupon.pk}" if may_add else ""

    def _may_stop(self, request: HttpRequest, coupon: Any) -> bool:
        return _is_running(coupon) and self.has_change_permission(request, coupon)

    def get_urls(self) -> list[URLPattern]:
        stop = self.admin_site.admin_view(self.stop)
        return [path("<int:coupon_id>/stop/", stop, name="coupons_coupon_stop"), *super().get_urls()]

    def stop(self, request: HttpRequest, coupon_id: int) -> HttpResponse:
        """Confirm, then end a running issue window now."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        coupon = self.get_object(request, str(coupon_id))
        if coupon is None:
            raise Http404
        back = reverse("admin:coupons_coupon_change", args=[coupon_id])
        form = StopForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._stopped(request, coupon, form):
            return HttpResponseRedirect(back)
        if not _is_running(coupon):
            self.message_user(request, str(CouponNotRunning()), messages.ERROR)
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Stop %(coupon)s now") % {"coupon": coupon},
            "opts": self.opts,
            "coupon": coupon,
            "remaining": coupon.total_quantity - coupon.issued_count,
            "form": form,
            "button": _("Stop now"),
            "is_danger": True,
            "back": back,
        }
        return TemplateResponse(request, "admin/coupons/coupon/stop.html", context)

    def _stopped(self, request: HttpRequest, coupon: Coupon, form: StopForm) -> bool:
        by = Staff(staff_id(request), form.cleaned_data["reason"])
        sentence = form.try_once(
            lambda idempotency: services.stop_coupon(coupon_id=coupon.pk, by=by, idempotency=idempotency),
            lambda stopped: gettext("%(coupon)s is stopped. No more units are issued.") % {"coupon": stopped},
            staff_id=by.id,
            path=request.path,
        )
        if sentence:
            self.message_user(request, sentence, messages.SUCCESS)
        return bool(sentence)
