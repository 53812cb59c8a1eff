"""Serializer fields that take a value at its word.

Owns strictness: a number is a number, not text that looks like one, nor a truth value.
"""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

LARGEST_ID = 2**63 - 1


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
