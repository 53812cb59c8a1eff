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

T = TypeVar("T", bound="RequestInProgressProblem")


@_attrs_define
class RequestInProgressProblem:
    """Request in progress. The first request with this key has not finished. Send the same request again, with the same
    Idempotency-Key, after the seconds in `Retry-After`.

    """

    type_: Literal["/problems/request-in-progress"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[409]
    code: Literal["request_in_progress"]
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
        type_ = cast(Literal["/problems/request-in-progress"], d.pop("type"))
        if type_ != "/problems/request-in-progress":
            raise ValueError(f"type must match const '/problems/request-in-progress', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[409], d.pop("status"))
        if status != 409:
            raise ValueError(f"status must match const 409, got '{status}'")

        code = cast(Literal["request_in_progress"], d.pop("code"))
        if code != "request_in_progress":
            raise ValueError(f"code must match const 'request_in_progress', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        request_in_progress_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
        )

        request_in_progress_problem.additional_properties = d
        return request_in_progress_problem

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
