"""Strict serializers and fields.

A number must be a JSON number, not text or a boolean. A parameter has one valid spelling. Unknown fields are refused.
"""

import re
from collections.abc import Container, Mapping
from datetime import date
from itertools import islice
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from commerce.core.days import validate_day
from commerce.core.text import normal
from commerce.core.whole_numbers import LARGEST_ID

LARGEST_ID_IN_A_PATH = 10**18 - 1
"""The largest id of eighteen digits; routes do not match more digits."""

MOST_NAMED, LONGEST_NAME = 20, 100
"""How many unknown names a response lists, and how many characters of each."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class BodySerializer(serializers.Serializer[Any]):
    """A body or an object in it. Unknown fields are refused with the code `unknown_field`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        unknown = unknown_names(data, self.fields, _("This field is not known."), code="unknown_field")
        try:
            values: dict[str, Any] = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not unknown or not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**error.detail, **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return values


def unknown_names(
    given: Any, known: Container[str], message: str | Promise, *, code: str
) -> dict[str, serializers.ErrorDetail]:
    """An error for each unknown name in the mapping `given`, for the first `MOST_NAMED` of them."""
    if not isinstance(given, Mapping):
        return {}
    unknown = islice((name for name in given if name not in known), MOST_NAMED)
    # An unpaired surrogate cannot be encoded in the response.
    shown = (str(name)[:LONGEST_NAME].encode(errors="replace").decode() for name in unknown)
    return {name: serializers.ErrorDetail(str(message), code=code) for name in shown}


@extend_schema_field(OpenApiTypes.INT64)
class StrictIntegerField(serializers.IntegerField):
    """A JSON integer. `"5"`, `5.0` and `true` are refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class IdField(StrictIntegerField):
    """An id: positive, and within the range of bigint."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **kwargs)


class StrictBooleanField(serializers.BooleanField):
    """`true` or `false`. `"true"`, `1` and `null` are refused with the code `invalid`, or `null`."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class TextField(serializers.CharField):
    """Text in NFC. A number, which DRF's field would take for text, is refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return normal(super().to_internal_value(data))


class GivenReasonField(TextField):
    """The reason of an action of staff. It is stored with the action."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200, **kwargs)


class ReasonField(GivenReasonField):
    """Why staff act on another's account, which nobody else may do."""

    def __init__(self, **kwargs: Any) -> None:
        text = "Why; with another's account only, which is for staff with the right to it."
        super().__init__(required=False, help_text=text, **kwargs)


@extend_schema_field(OpenApiTypes.INT64)
class WholeNumberParameter(serializers.IntegerField):
    """A number in a query: ASCII digits. `1_000`, `5.0`, ` 5` and `٣` are refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> int:
        if not _WHOLE_NUMBER.fullmatch(data):
            self.fail("invalid")
        return int(data)


class IdParameter(WholeNumberParameter):
    """An id in a query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **kwargs)


class FlagParameter(serializers.BooleanField):
    """`true` or `false` in a query; `yes`, `1` and `t` are refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid", input=data)
        return bool(data == "true")


class DayParameter(serializers.DateField):
    """A day in a query, as `2026-01-31`; `20260131`, `2026-W05-6` and `2026-1-31` are refused with `invalid`.

    A day outside the range of `commerce.core.days` is refused with `out_of_range`.
    """

    default_validators = [validate_day]

    def to_internal_value(self, value: Any) -> date:
        if not _DAY.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DD")
        day: date = super().to_internal_value(value)
        return day
