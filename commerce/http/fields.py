"""Serializer fields that take a value at its word.

Owns strictness: a number is a number, not text that looks like one, nor a truth value; a parameter has one spelling.
"""

import re
from datetime import date
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

LARGEST_ID = 2**63 - 1
LARGEST_ID_IN_A_PATH = 10**18 - 1
"""What eighteen digits hold: a route takes no more of them."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@extend_schema_field(OpenApiTypes.INT64)
class StrictIntegerField(serializers.IntegerField):
    """A JSON integer. `"5"`, `5.0` and `true` are refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class IdField(StrictIntegerField):
    """The identifier of something: positive, and within the database's bigint."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **kwargs)


@extend_schema_field(OpenApiTypes.INT64)
class WholeNumberParameter(serializers.IntegerField):
    """A number in a query: plain digits. `1_000`, `5.0`, ` 5` and `٣` are refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> int:
        if not _WHOLE_NUMBER.fullmatch(data):
            self.fail("invalid")
        return int(data)


class IdParameter(WholeNumberParameter):
    """The identifier of something, in a query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **kwargs)


class FlagParameter(serializers.BooleanField):
    """`true` or `false` in a query; `yes`, `1` and `t` are refused with the code `invalid`."""

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid", input=data)
        return bool(data == "true")


class DayParameter(serializers.DateField):
    """A day in a query, as `2026-01-31`; `20260131`, `2026-W05-6` and `2026-1-31` are refused with `invalid`."""

    def to_internal_value(self, value: Any) -> date:
        if not _DAY.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DD")
        day: date = super().to_internal_value(value)
        return day
