"""The statistics page: chart and table for a range of days, comparison with the orders, rebuild of one day."""

import json
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from commerce.audit.record import Staff
from commerce.core.errors import DomainError
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.pages import ReadOnly, staff_id
from stats import selectors, services
from stats.admin.forms import LATELY, MOST_DAYS, RangeForm, RebuildForm, asked_range
from stats.models import ProductStat
from stats.operations import DayComparison

PRODUCTS_SHOWN = 50
DIFFERENCES_SHOWN = 200
LIST = "admin:stats_productstat_changelist"


@admin.register(ProductStat)
class ProductStatAdmin(Exported, ReadOnly):
    """Units sold per product and day."""

    list_select_related = ("product",)
    export_columns = (
        Column(_("day"), lambda stat: stat.date),
        Column(_("product number"), lambda stat: stat.product_id),
        Column(_("product"), lambda stat: stat.product_name),
        Column(_("units sold"), lambda stat: stat.quantity_sold),
    )

    def has_rebuild_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("stats.rebuild_productstat")

    def get_urls(self) -> list[URLPattern]:
        rebuild = self.admin_site.admin_view(self.rebuild)
        return [path("rebuild/", rebuild, name="stats_productstat_rebuild"), *super().get_urls()]

    def get_export_queryset(self, request: HttpRequest) -> "QuerySet[ProductStat]":
        form = asked_range(request)
        if not form.is_valid():
            raise SuspiciousOperation("No page offers this range.")
        rows = selectors.sales(form.first, form.last, product_id=form.product_id)
        # The name as an annotation, not a product object for each of a hundred thousand rows.
        return rows.annotate(product_name=F("product__name"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The chart, the table and, if requested, the comparison with the orders."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = asked_range(request)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Statistics"),
            "opts": self.opts,
            "form": form,
            "lately": [(days, urlencode(_asked(days=days, product=request.GET.get("product")))) for days in LATELY],
            "may_export": self.has_export_permission(request),
            "may_rebuild": self.has_rebuild_permission(request),
            **(_shown(form, may_see_orders=request.user.has_perm("orders.view_order")) if form.is_valid() else {}),
            **(extra_context or {}),
        }
        if form.is_valid() and "compare" in request.GET and context["may_compare"]:
            context |= _recounted(form)
        return TemplateResponse(request, "admin/stats/productstat/statistics.html", context)

    def rebuild(self, request: HttpRequest) -> HttpResponse:
        """The page that rebuilds one day from its orders."""
        if not self.has_rebuild_permission(request):
            raise PermissionDenied
        form = RebuildForm(request.POST or None, initial={"day": request.GET.get("day", "")})
        if request.method == "POST" and form.is_valid() and self._rebuilt(request, form):
            day = form.cleaned_data["day"].isoformat()
            return HttpResponseRedirect(f"{reverse(LIST)}?{urlencode({'from_date': day, 'to_date': day})}")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Rebuild a day"),
            "opts": self.opts,
            "form": form,
            "button": _("Rebuild"),
            "back": reverse(LIST),
            **_expected(form),
        }
        return TemplateResponse(request, "admin/stats/productstat/rebuild.html", context)

    def _rebuilt(self, request: HttpRequest, form: RebuildForm) -> bool:
        by, day = Staff(staff_id(request), form.cleaned_data["reason"]), form.cleaned_data["day"]
        sentence = form.try_once(
            lambda idempotency: services.rebuild_day(day=day, by=by, idempotency=idempotency),
            lambda found: _rebuilt_sentence(day, found),
            staff_id=by.id,
            path=request.path,
        )
        if sentence:
            self.message_user(request, sentence, messages.SUCCESS)
        return bool(sentence)


def _expected(form: RebuildForm) -> dict[str, Any]:
    """What the rebuild would change, if the URL names a day."""
    try:
        day = form.fields["day"].clean(form["day"].value())
        found = services.compare_days(from_date=day, to_date=day)[day]
    except ValidationError:
        return {}
    except DomainError as refusal:
        return {"recount_failed": str(refusal)}
    return {"day": day, "found": found, "products": len(found.differences)}


def _rebuilt_sentence(day: date, found: DayComparison) -> str:
    numbers = {
        "day": day.isoformat(),
        "products": f"{len(found.differences):,}",
        "counted": f"{found.units_counted:,}",
        "correct": f"{found.units_correct:,}",
        "events": f"{found.events_recorded:,}",
    }
    if not found.differences:
        sentence = gettext("%(day)s is rebuilt: nothing differed; %(events)s events were recorded as counted.")
    else:
        sentence = gettext(
            "%(day)s is rebuilt: products corrected: %(products)s, their units: %(counted)s → %(correct)s;"
            " %(events)s events were recorded as counted."
        )
    return sentence % numbers


def _shown(form: RangeForm, *, may_see_orders: bool) -> dict[str, Any]:
    """Context for the range of days, with links to its orders for users who may view them."""
    days = selectors.units_by_day(form.first, form.last, product_id=form.product_id)
    products = selectors.most_sold(form.first, form.last, most=PRODUCTS_SHOWN, product_id=form.product_id)
    total = sum(units for _day, units in days)
    best_day, best_units = max(days, key=lambda each: each[1])
    return {
        "days": len(days),
        "total": total,
        "per_day": round(total / len(days), 1),
        "best_day": best_day if best_units > 0 else None,
        "best_units": best_units,
        "chart": _chart(
            days, [_orders_of(day, day, form.product_id) for day, _units in days] if may_see_orders else []
        ),
        "chart_rows": [
            {"name": day.isoformat(), "figure": f"{units:,}", "address": _orders_of(day, day, form.product_id)}
            for day, units in reversed(days)
            if units and may_see_orders
        ],
        "products": [
            (product_id, name, units, round(units * 100 / total, 1) if total > 0 else 0)
            for product_id, name, units in products
        ],
        "products_shown": PRODUCTS_SHOWN,
        "query": urlencode(_asked(from_date=form.first, to_date=form.last, product=form.product_id)),
        "most_days": MOST_DAYS,
        "most_days_compared": services.MOST_DAYS_COMPARED,
        "may_compare": len(days) <= services.MOST_DAYS_COMPARED,
    }


def _asked(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}


def _orders_of(first: date, last: date, product_id: int | None) -> str:
    """The orders that the units of these days are of, both days inclusive; of one product or of all."""
    asked = _asked(status__exact="COMPLETED", ordered_date_from=first, ordered_date_to=last, product=product_id)
    return f"{reverse('admin:orders_order_changelist')}?{urlencode(asked)}"


def _chart(days: list[tuple[date, int]], links: list[str]) -> str:
    """As the library's charts read it, with the page that each bar leads to (`charts.js`)."""
    bars: dict[str, object] = {
        "label": gettext("Units"),
        "data": [units for _day, units in days],
        "backgroundColor": "var(--color-primary-600)",
        "borderRadius": 2,
        "maxBarThickness": 28,
        "displayYAxis": True,
        "maxTicksXLimit": 8,
        "links": links,
    }
    return json.dumps({"labels": [day.isoformat() for day, _units in days], "datasets": [bars]})


def _recounted(form: RangeForm) -> dict[str, Any]:
    """Differences between statistics and orders in the range, for one product if one was chosen."""
    try:
        found = services.compare_days(from_date=form.first, to_date=form.last)
    except DomainError as refusal:
        return {"recount_failed": str(refusal)}
    differences = [
        difference
        for comparison in found.values()
        for difference in comparison.differences
        if form.product_id in (None, difference.product_id)
    ]
    shown = differences[:DIFFERENCES_SHOWN]
    names = selectors.product_names({difference.product_id for difference in shown})
    return {
        "recounted": True,
        "differences": [(difference, names.get(difference.product_id, "")) for difference in shown],
        "difference_count": len(differences),
        "differences_shown": DIFFERENCES_SHOWN,
        "days_that_differ": len({difference.day for difference in differences}),
        "events_on_their_way": sum(comparison.events_recorded for comparison in found.values()),
    }
