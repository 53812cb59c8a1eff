"""Validates bodies and query parameters. Every view calls it first.

The rules of a body are defined by the app's serializer. A body is first checked against a type by msgspec, which runs
in C. If that fails, the serializer validates the body and creates the error messages.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import msgspec
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.serializers import ListField, Serializer

from commerce.api.fields import BodySerializer, IdField, ReasonField, StrictIntegerField, unknown_names

NOT_TAKEN = (msgspec.ValidationError, UnicodeEncodeError, ValidationError)
"""Exceptions of a failed quick check. UnicodeEncodeError: text with an unpaired surrogate."""


def body_of(request: Request, serializer: type[BodySerializer]) -> dict[str, Any]:
    """The validated body. Unknown fields are refused.

    Raises ValidationError, ParseError for a body that is not JSON, UnsupportedMediaType and RequestDataTooBig.
    """
    data = request.data
    quick = quick_check(serializer)
    if quick is not None:
        try:
            return quick.values_of(data)
        except NOT_TAKEN:
            # The serializer decides, and creates the error messages.
            pass
    return _validated(serializer(data=data))


def body_if_any(request: Request, serializer: type[BodySerializer] = BodySerializer) -> dict[str, Any]:
    """The body of a write that needs none; `{}` if there is none. Raises the same errors as `body_of`.

    Without a serializer every field is unknown, so the body has to be empty.
    """
    return body_of(request, serializer) if request._request.META.get("CONTENT_LENGTH") not in _NO_LENGTH else {}


_NO_LENGTH = (None, "", "0")


def reason_of(body: Mapping[str, Any], *, for_another: bool) -> str:
    """The reason in a body. It is required from staff who act on another account, and refused from everyone else.

    Raises ValidationError.
    """
    if for_another and "reason" not in body:
        raise ValidationError({"reason": _("Say why.")}, code="required")
    if not for_another and "reason" in body:
        raise ValidationError({"reason": _("This field is not known.")}, code="unknown_field")
    return str(body.get("reason", ""))


def query_of(request: Request, serializer: type[Serializer[Any]], *, paging: Sequence[str] = ()) -> dict[str, Any]:
    """The validated query parameters. Those named in `paging` are validated there. Raises ValidationError."""
    asked = serializer(data=request.query_params.dict())
    require_known_parameters(request, {*asked.fields, *paging})
    return _validated(asked)


def require_known_parameters(request: Request, known: Container[str]) -> None:
    """Raise ValidationError (`unknown_parameter`) if the query has an unknown parameter."""
    message = _("This parameter is not known.")
    unknown = unknown_names(request._request.GET, known, message, code="unknown_parameter")
    if unknown:
        raise ValidationError(unknown)


def _validated(serializer: Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


@dataclass(frozen=True)
class QuickCheck:
    """A serializer as a msgspec type. It accepts nothing that the serializer refuses, and returns the same values."""

    serializer: type[Serializer[Any]]
    body: Any
    """A msgspec struct that refuses unknown fields."""
    judged_by_name: tuple[str, ...]
    """Fields with a `validate_…` method, which is called too."""

    def values_of(self, data: Any) -> dict[str, Any]:
        """Raises one of `NOT_TAKEN`."""
        values: dict[str, Any] = msgspec.to_builtins(msgspec.convert(data, self.body))
        if self.judged_by_name:
            judge = self.serializer(data=data)
            for name in self.judged_by_name:
                if name in values:
                    values[name] = getattr(judge, f"validate_{name}")(values[name])
        return values


class _NoType(Exception):
    """A field or rule that cannot be expressed as a type."""


@cache
def quick_check(serializer: type[Serializer[Any]]) -> QuickCheck | None:
    """The serializer as a type; None if a field or rule cannot be expressed as a type."""
    instance = serializer()
    judged = tuple(str(name) for name in instance.fields if hasattr(serializer, f"validate_{name}"))
    try:
        return QuickCheck(serializer, _object_type(instance), judged)
    except _NoType:
        return None


def _object_type(serializer: Serializer[Any]) -> Any:
    kind = type(serializer)
    if kind.validate is not Serializer.validate or kind.to_internal_value is not BodySerializer.to_internal_value:
        raise _NoType
    if serializer.validators:
        raise _NoType
    fields: list[Any] = []
    for name, field in serializer.fields.items():
        if field.source != name or field.read_only:
            raise _NoType
        if field.default is not empty and callable(field.default):
            raise _NoType
        if type(field) is ReasonField:
            # Rarely used, so the serializer validates it.
            fields.append((name, msgspec.UnsetType, msgspec.UNSET))
        elif field.required:
            fields.append((name, _type_of(field)))
        elif field.default is empty:
            # Omitted from the values if it is omitted from the body.
            fields.append((name, _type_of(field) | msgspec.UnsetType, msgspec.UNSET))
        else:
            fields.append((name, _type_of(field), field.default))
    return msgspec.defstruct(kind.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _type_of(field: Any) -> Any:
    """The type of a field's values."""
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
    else:
        raise _NoType
    if len(field.validators) != rules:
        # A validator that was added to the field, besides its bounds.
        raise _NoType
    return accepted | None if field.allow_null else accepted
