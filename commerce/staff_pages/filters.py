"""Filters shared by the lists of the back-office: ranges of days in the shop's time zone, and periods."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter, RangeNumericFilter

from commerce.core.days import FIRST_DAY, LAST_DAY

# The library is untyped, but its base classes from Django are typed.
if TYPE_CHECKING:
    Days = admin.FieldListFilter
else:
    Days = RangeDateFilter


_DAY = timedelta(days=1)
PERIODS: dict[str, tuple[Any, Callable[[date], tuple[date, date]]]] = {
    "today": (_("today"), lambda today: (today, today)),
    "yesterday": (_("yesterday"), lambda today: (today - _DAY, today - _DAY)),
    "7": (_("last 7 days"), lambda today: (today - 6 * _DAY, today)),
    "30": (_("last 30 days"), lambda today: (today - 29 * _DAY, today)),
    "month": (_("this month"), lambda today: (today.replace(day=1), today)),
}
"""By value: label, first and last day, both inclusive. Periods are relative to today, in saved views as well."""
_ENDS = ("from", "to", "days")


def address_of(query: QueryDict, *, without: Collection[str], given: Mapping[str, str] = MappingProxyType({})) -> str:
    """The URL of the list's first page with the parameters of `query` except `without`, plus those in `given`."""
    kept = query.copy()
    for name in {*without, *given, PAGE_VAR, ERROR_FLAG}:
        kept.pop(name, None)
    kept.update(given)
    return f"?{kept.urlencode()}"


def asks_for_days(request: HttpRequest, column: str) -> bool:
    """Whether a list is filtered by days of this column: from, to, or one of `PERIODS`."""
    return any(request.GET.get(f"{column}_{end}") for end in _ENDS)


class DateRangeFilter(Days):
    """A range of days, both inclusive, or one of `PERIODS`; for a column of dates.

    Explicit days take precedence over the period. Days outside the range of `commerce.core.days` are clamped to it:
    there are no rows beyond it.
    """

    template = "admin/filters/days.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Django keeps all values of a repeated parameter; the last one counts.
        given: dict[str, Any] = {**self.used_parameters}
        self.used_parameters = {name: values[-1] for name, values in given.items() if values[-1]}

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}_{end}" for end in _ENDS]

    @property
    def period(self) -> str:
        """The requested period, valid or not; empty if explicit days are given."""
        ends = (self.used_parameters.get(f"{self.field_path}_{end}") for end in ("from", "to"))
        return "" if any(ends) else str(self.used_parameters.get(f"{self.field_path}_days") or "")

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day; None for an open end. Raises IncorrectLookupParameters."""
        if self.period in PERIODS:
            return PERIODS[self.period][1](timezone.localdate())
        return self._day("from"), self._day("to")

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        try:
            first, last = self.days
        except IncorrectLookupParameters:
            return queryset  # `unreadable_values` reports it
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": first})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lte": last})
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The library's form, with the current period, and links to all periods."""
        kept = self.period if self.period in PERIODS else ""
        for each in super().choices(changelist):
            yield {**each, "period": kept, "period_parameter": f"{self.field_path}_days", "periods": self.periods()}

    def periods(self) -> list[tuple[Any, str, bool]]:
        """(label, URL of the list filtered by it, whether it is selected) for each period."""
        query = self.request.GET
        names = [str(name) for name in self.expected_parameters()]
        return [
            (title, address_of(query, without=names, given={f"{self.field_path}_days": name}), name == self.period)
            for name, (title, _days) in PERIODS.items()
        ]

    def _day(self, end: str) -> date | None:
        try:
            day = forms.DateField(required=False).clean(self.used_parameters.get(f"{self.field_path}_{end}"))
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error
        return max(FIRST_DAY, min(day, LAST_DAY)) if day else None


class DayRangeFilter(DateRangeFilter):
    """The same for a column of times: from the start of the first day to the end of the last, in the shop's zone."""

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        first, last = self.days
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": _midnight(first)})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lt": _midnight(last + _DAY)})
        return queryset


def unreadable_values(changelist: Any) -> Iterator[tuple[str, str]]:
    """The filters of a list with an invalid value in the URL, each with that value.

    Such a filter is ignored, or matches nothing.
    """
    for each in changelist.filter_specs:
        for value, is_readable in _given(each):
            if value and not is_readable:
                yield str(each.title), value


def _given(each: Any) -> Iterator[tuple[str, bool]]:
    """The values given to a filter, each with whether it is valid."""
    if isinstance(each, RangeNumericFilter):
        for value in each.used_parameters.values():
            yield str(value), _reads(forms.IntegerField(), value)
    elif isinstance(each, DateRangeFilter):
        for name, value in each.used_parameters.items():
            is_period = name.endswith("_days")
            yield str(value), value in PERIODS if is_period else _reads(forms.DateField(), value)
    elif isinstance(each, admin.ChoicesFieldListFilter):
        offered = {str(value) for value, _name in each.field.flatchoices}
        for value in each.lookup_val or ():
            yield value, value in offered
    elif isinstance(each, admin.SimpleListFilter) and each.lookup_choices:
        value = each.value() or ""
        yield value, value in {str(offered) for offered, _name in each.lookup_choices}


def _reads(reader: forms.Field, value: Any) -> bool:
    try:
        reader.clean(value)
    except ValidationError:
        return False
    return True


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
