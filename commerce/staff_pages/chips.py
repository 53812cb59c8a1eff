"""Chips above a list: the active filters in words, each with a link that removes it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.http import HttpRequest
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from unfold.contrib.filters.admin import RangeNumericFilter

from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.filters import PERIODS, DateRangeFilter, address_of

MOST_CHARACTERS = 60
_YES, _NO = ("1", "True", "true"), ("0", "False", "false")
_MAY = ("view", "change")


@dataclass(frozen=True)
class Chip:
    """One active filter: for example `status`, `Completed`, and the URL of the list without it."""

    title: str
    value: str
    address: str


def chips_of(changelist: Any, request: HttpRequest) -> list[Chip]:
    """The chips of a list, in the order of its filters; filters without a valid value have none."""
    chips, known = [], {SEARCH_VAR}
    if text := request.GET.get(SEARCH_VAR, "").strip():
        chips.append(_chip(request, _("search"), f"“{text}”", [SEARCH_VAR]))
    for each in changelist.filter_specs:
        names = [str(name) for name in each.expected_parameters()]
        known.update(names)
        if words := _words_of(each, request):
            chips.append(_chip(request, str(each.title), words, names))
    chips += [
        _chip(request, _title_of(changelist.model, name), words, [name])
        for name, words in _other_words(changelist, request, known)
    ]
    return chips


def _chip(request: HttpRequest, title: str, words: str, names: Sequence[str]) -> Chip:
    shown = Truncator(words).chars(MOST_CHARACTERS)
    return Chip(str(capfirst(title)), shown, address_of(request.GET, without=names))


def _words_of(each: Any, request: HttpRequest) -> str:
    """The label of a filter's value; empty if it has none."""
    return next((words(each, request) for kind, words in _WORDS if isinstance(each, kind)), "")


def _days_in_words(each: DateRangeFilter, _request: HttpRequest) -> str:
    if each.period:
        return str(PERIODS[each.period][0]) if each.period in PERIODS else ""
    try:
        first, last = each.days
    except IncorrectLookupParameters:
        return ""
    return str(first) if first and first == last else _between(_day(first), _day(last))


def _numbers_in_words(each: Any, _request: HttpRequest) -> str:
    first, last = (str(each.used_parameters.get(f"{each.parameter_name}_{end}") or "") for end in ("from", "to"))
    return _between(_number(first), _number(last))


def _row_in_words(each: Any, request: HttpRequest) -> str:
    return _related(each.field, _first(each.lookup_val), request)


def _boolean_in_words(each: Any, _request: HttpRequest) -> str:
    value = _first(each.lookup_val)
    return _("yes") if value in _YES else _("no") if value in _NO else ""


def _choice_in_words(each: Any, _request: HttpRequest) -> str:
    return str(dict(each.field.flatchoices).get(_first(each.lookup_val), ""))


def _offer_in_words(each: Any, request: HttpRequest) -> str:
    """For a filter without choices, because there are too many: the name of the row that its `field` refers to."""
    value, field = each.value() or "", getattr(each, "field", None)
    if field is not None:
        return _related(field, value, request)
    return {str(offered): str(name) for offered, name in each.lookup_choices}.get(value, "")


_WORDS: tuple[tuple[Any, Callable[[Any, HttpRequest], str]], ...] = (
    (DateRangeFilter, _days_in_words),
    (RangeNumericFilter, _numbers_in_words),
    (admin.RelatedFieldListFilter, _row_in_words),
    (admin.BooleanFieldListFilter, _boolean_in_words),
    (admin.ChoicesFieldListFilter, _choice_in_words),
    (admin.SimpleListFilter, _offer_in_words),
)


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _number(text: str) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    number = whole_number(digits)
    return "" if number is None else f"{sign}{number:,}"


def _between(first: str, last: str) -> str:
    if first and last:
        return f"{first} – {last}"
    if first:
        return _("from %(value)s") % {"value": first}
    return _("up to %(value)s") % {"value": last} if last else ""


def _related(field: Any, value: str, request: HttpRequest) -> str:
    """The name of the row with the id `value`; only the id for users who may not view it."""
    number = whole_number(value)
    if number is None:
        return value
    model: type[Model] = field.remote_field.model
    may_see = any(request.user.has_perm(f"{model._meta.app_label}.{may}_{model._meta.model_name}") for may in _MAY)
    row = model._default_manager.filter(pk=number).first() if may_see else None
    return str(row) if row is not None else f"#{number}"


def _first(value: Any) -> str:
    """The first value: some filters keep a list, of which the shop's lists use only one."""
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    return str(value or "")


def _other_words(changelist: Any, request: HttpRequest, known: set[str]) -> Iterator[tuple[str, str]]:
    """Chips for lookups in links to the list that have no filter, such as `user__id__exact`."""
    for name, value in changelist.get_filters_params().items():
        if name in known:
            continue
        field = _field_of(changelist.model, name)
        text = _first(value)
        yield name, _related(field, text, request) if field is not None and field.is_relation else text


def _field_of(model: type[Model], lookup: str) -> "Field[Any, Any] | None":
    try:
        field = model._meta.get_field(lookup.partition("__")[0])
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) else None


def _title_of(model: type[Model], lookup: str) -> str:
    field = _field_of(model, lookup)
    return str(field.verbose_name) if field is not None else lookup
