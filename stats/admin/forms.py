"""The forms of the statistics page: a range of days, and the rebuild of one day."""

import re
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.forms import AutocompleteDropdownForm

from commerce.core.days import validate_day
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.forms import ReasonForm, StaffForm
from stats import selectors
from stats.models import ProductStat

LATELY = (7, 30, 90)
"""Shortcuts: ranges of this many days up to today."""
SHOWN_FIRST = 30
MOST_DAYS = 366


class DayField(forms.DateField):
    """A day, chosen with the browser's date picker."""

    default_validators = [validate_day]

    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class RangeForm(StaffForm):
    """A range of days, both inclusive, for all products or for one."""

    from_date = DayField(label=_("first day"))
    to_date = DayField(label=_("last day"))

    def __init__(self, *args: Any, with_product: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if with_product:
            product = ProductStat._meta.get_field("product")
            widget = AutocompleteSelect(product, admin.site, attrs={"class": "unfold-filter-autocomplete"})
            if field := product.formfield(label=_("Product"), required=False, widget=widget):
                self.fields["product"] = field

    @property
    def media(self) -> forms.Media:
        return super().media + forms.Media(AutocompleteDropdownForm.Media)

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("from_date"), self.cleaned_data.get("to_date")
        if first and last and last < first:
            self.add_error("to_date", _("The last day lies before the first."))
        elif first and last and (last - first).days >= MOST_DAYS:
            self.add_error("to_date", _("At most %(days)d days.") % {"days": MOST_DAYS})
        return self.cleaned_data

    @property
    def first(self) -> date:
        day: date = self.cleaned_data["from_date"]
        return day

    @property
    def last(self) -> date:
        day: date = self.cleaned_data["to_date"]
        return day

    @property
    def product_id(self) -> int | None:
        product = self.cleaned_data.get("product")
        return product.pk if product else None


def asked_range(request: HttpRequest) -> RangeForm:
    """The form filled from the query parameters; without dates, the last `days` days up to today.

    Raises SuspiciousOperation for a product that is not a number.
    """
    asked = request.GET
    values = {"product": asked.get("product", "")}
    if values["product"] and not re.fullmatch(r"[0-9]{1,18}", values["product"], re.ASCII):
        # The widget would query it while rendering.
        raise SuspiciousOperation("A product that is no number.")
    if "from_date" in asked or "to_date" in asked:
        values |= {"from_date": asked.get("from_date", ""), "to_date": asked.get("to_date", "")}
    else:
        chosen = asked.get("days", "")
        days = int(chosen) if chosen in map(str, LATELY) else SHOWN_FIRST
        today = timezone.localdate()
        values |= {"from_date": (today - timedelta(days=days - 1)).isoformat(), "to_date": today.isoformat()}
    return RangeForm(values, with_product=request.user.has_perm("products.view_product"))


def _require_sales(day: date) -> None:
    """Raises ValidationError for a day before the first order or after today."""
    first, last = selectors.first_day(), timezone.localdate()
    if not first <= day <= last:
        sentence = _("There can be no sales on that day: choose one from %(first)s to %(last)s.")
        values = {"first": first.isoformat(), "last": last.isoformat()}
        raise forms.ValidationError(sentence % values, code="out_of_range")


class RebuildForm(IdempotentForm, ReasonForm):
    """The day to rebuild from its orders, and the reason."""

    day = DayField(label=_("day"), validators=[_require_sales])
    field_order = ("day", "reason")
