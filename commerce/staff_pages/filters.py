"""Filters that lists of the shop have in common.

Owns how a day becomes moments of the shop's zone; never which table is filtered.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter, RangeNumericFilter

from commerce.core.calendar import FIRST_DAY, LAST_DAY

# The library is untyped; what it takes from Django is not.
if TYPE_CHECKING:
    Days = admin.FieldListFilter
else:
    Days = RangeDateFilter


class DayRangeFilter(Days):
    """From the beginning of one of the shop's days to the end of another, for a column of times.

    A day outside the range of `commerce.core.calendar` means its end: there are no rows beyond it.
    """

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        first, last = self._day("from"), self._day("to")
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": _midnight(first)})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lt": _midnight(last + timedelta(days=1))})
        return queryset

    def _day(self, end: str) -> date | None:
        try:
            day = forms.DateField(required=False).clean(self.used_parameters.get(f"{self.field_path}_{end}"))
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error
        return max(FIRST_DAY, min(day, LAST_DAY)) if day else None


def unreadable_values(changelist: Any) -> Iterator[tuple[str, str]]:
    """The filters of a list that cannot use the value which its address gives them, each with the value.

    Such a filter filters nothing, or leaves nothing.
    """
    for each in changelist.filter_specs:
        for value, is_readable in _given(each):
            if value and not is_readable:
                yield str(each.title), value


def _given(each: Any) -> Iterator[tuple[str, bool]]:
    """Every value that a filter has been given, and whether it can be used."""
    if isinstance(each, RangeDateFilter | RangeNumericFilter):
        reader: forms.Field = forms.DateField() if isinstance(each, RangeDateFilter) else forms.IntegerField()
        for value in each.used_parameters.values():
            yield str(value), _reads(reader, value)
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
