from __future__ import annotations

from collections.abc import Mapping
from typing import (
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="MethodNotAllowedProblem")


@_attrs_define
class MethodNotAllowedProblem:
    """Method not allowed. The path does not support this method. `Allow` lists the supported ones. A repeated request
    would get the same response. Change the request, or the state it depends on, first.

    """

    type_: Literal["/problems/method-not-allowed"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[405]
    code: Literal["method_not_allowed"]
    detail: str
    """ A description of the problem for people, in the language of the request. """
    instance: str
    """ The path of the request. """
    request_id: str
    """ Include it when you report a fault. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        title = self.title

        status = self.status

        code = self.code

        detail = self.detail

        instance = self.instance

        request_id = self.request_id

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

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        type_ = cast(Literal["/problems/method-not-allowed"], d.pop("type"))
        if type_ != "/problems/method-not-allowed":
            raise ValueError(f"type must match const '/problems/method-not-allowed', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[405], d.pop("status"))
        if status != 405:
            raise ValueError(f"status must match const 405, got '{status}'")

        code = cast(Literal["method_not_allowed"], d.pop("code"))
        if code != "method_not_allowed":
            raise ValueError(f"code must match const 'method_not_allowed', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        method_not_allowed_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
        )

        method_not_allowed_problem.additional_properties = d
        return method_not_allowed_problem

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
