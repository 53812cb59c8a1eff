from __future__ import annotations

from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.field_error import FieldError


T = TypeVar("T", bound="ValidationErrorProblem")


@_attrs_define
class ValidationErrorProblem:
    """Invalid request. The body or a parameter is invalid. `errors` has an entry for each field, with a code and a
    sentence. The connection or the time limit ended before the body was complete. A repeated request would get the same
    response. Change the request, or the state it depends on, first.

    """

    type_: Literal["/problems/validation-error"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[400]
    code: Literal["validation_error"]
    detail: str
    """ A description of the problem for people, in the language of the request. """
    instance: str
    """ The path of the request. """
    request_id: str
    """ Include it when you report a fault. """
    errors: list[FieldError] | Unset = UNSET
    """ An entry for each invalid value. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        title = self.title

        status = self.status

        code = self.code

        detail = self.detail

        instance = self.instance

        request_id = self.request_id

        errors: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.errors, Unset):
            errors = []
            for errors_item_data in self.errors:
                errors_item = errors_item_data.to_dict()
                errors.append(errors_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
                "title": title,
                "status": status,
                "code": code,
                "detail": detail,
                "instance": instance,
                "requestId": request_id,
            }
        )
        if errors is not UNSET:
            field_dict["errors"] = errors

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.field_error import FieldError  # noqa: PLC0415

        d = dict(src_dict)
        type_ = cast(Literal["/problems/validation-error"], d.pop("type"))
        if type_ != "/problems/validation-error":
            raise ValueError(f"type must match const '/problems/validation-error', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[400], d.pop("status"))
        if status != 400:
            raise ValueError(f"status must match const 400, got '{status}'")

        code = cast(Literal["validation_error"], d.pop("code"))
        if code != "validation_error":
            raise ValueError(f"code must match const 'validation_error', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        _errors = d.pop("errors", UNSET)
        errors: list[FieldError] | Unset = UNSET
        if _errors is not UNSET:
            errors = []
            for errors_item_data in _errors:
                errors_item = FieldError.from_dict(errors_item_data)

                errors.append(errors_item)

        validation_error_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
            errors=errors,
        )

        validation_error_problem.additional_properties = d
        return validation_error_problem

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
