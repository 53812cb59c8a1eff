"""From a request to values that fit.

Owns the one call that every view starts with; the rules of each body stand in the app's serializers. A body is first
held against a type that msgspec checks in C; what it refuses, the serializer judges and words.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.serializers import ListField, Serializer

from commerce.http.fields import IdField, StrictIntegerField

NOT_TAKEN = (msgspec.ValidationError, UnicodeEncodeError, ValidationError)
"""How a quick check refuses; the second of them for text with half of a surrogate pair."""


def body_of(request: Request, serializer: type[Serializer[Any]]) -> dict[str, Any]:
    """The validated body. Raises ValidationError, or ParseError for a body that is not JSON."""
    data = request.data
    quick = quick_check(serializer)
    if quick is not None:
        try:
            return quick.values_of(data)
        except NOT_TAKEN:
            # The serializer has the last word, and the words.
            pass
    return _validated(serializer(data=data))


def query_of(request: Request, serializer: type[Serializer[Any]]) -> dict[str, Any]:
    """The validated query parameters. Raises ValidationError."""
    return _validated(serializer(data=request.query_params.dict()))


def _validated(serializer: Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


@dataclass(frozen=True)
class QuickCheck:
    """A serializer as a type: it accepts nothing that the serializer refuses, and gives the same values."""

    serializer: type[Serializer[Any]]
    body: Any
    defaults: dict[str, Any]
    judged_by_name: tuple[str, ...]
    """Fields with a `validate_…` method, which is asked as well."""

    def values_of(self, data: Any) -> dict[str, Any]:
        """Raises one of `NOT_TAKEN`."""
        values: dict[str, Any] = {**self.defaults, **msgspec.convert(data, self.body)}
        if self.judged_by_name:
            judge = self.serializer(data=data)
            for name in self.judged_by_name:
                if name in values:
                    values[name] = getattr(judge, f"validate_{name}")(values[name])
        return values


class _NoType(Exception):
    """A field or a rule that no type can express."""


@cache
def quick_check(serializer: type[Serializer[Any]]) -> QuickCheck | None:
    """The serializer as a type; None where it has a field or a rule that no type can express."""
    instance = serializer()
    judged = tuple(str(name) for name in instance.fields if hasattr(serializer, f"validate_{name}"))
    defaults = {name: field.default for name, field in instance.fields.items() if field.default is not empty}
    try:
        if any(callable(default) for default in defaults.values()):
            raise _NoType
        return QuickCheck(serializer, _object_type(instance), defaults, judged)
    except _NoType:
        return None


def _object_type(serializer: Serializer[Any]) -> Any:
    kind = type(serializer)
    if kind.validate is not Serializer.validate or kind.to_internal_value is not Serializer.to_internal_value:
        raise _NoType
    if serializer.validators:
        raise _NoType
    fields: dict[str, Any] = {}
    for name, field in serializer.fields.items():
        if field.source != name or field.read_only:
            raise _NoType
        fields[name] = _type_of(field) if field.required else NotRequired[_type_of(field)]
    return TypedDict(kind.__name__, fields)  # type: ignore[operator]  # made from what the serializer declares


def _type_of(field: Any) -> Any:
    """The type of the values that a field accepts."""
    accepted: Any
    if type(field) in (StrictIntegerField, IdField):
        accepted = Annotated[int, msgspec.Meta(ge=field.min_value, le=field.max_value)]
        rules = (field.min_value is not None) + (field.max_value is not None)
    elif type(field) is ListField:
        accepted = Annotated[
            list[_type_of(field.child)],  # type: ignore[misc]  # a type made at run time
            msgspec.Meta(min_length=field.min_length, max_length=field.max_length),
        ]
        rules = (field.min_length is not None) + (field.max_length is not None)
    elif isinstance(field, Serializer) and not any(hasattr(field, f"validate_{name}") for name in field.fields):
        accepted, rules = _object_type(field), 0
        if any(inner.default is not empty for inner in field.fields.values()):
            raise _NoType
    else:
        raise _NoType
    if len(field.validators) != rules:
        # One that was given to the field besides its bounds.
        raise _NoType
    return accepted | None if field.allow_null else accepted
