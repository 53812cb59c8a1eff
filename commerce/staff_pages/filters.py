"""Filters that lists of the shop have in common.

Owns how a day becomes moments of the shop's zone; never which table is filtered.
"""

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateFilter

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


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
