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

from ..types import UNSET, Unset

T = TypeVar("T", bound="NotAuthenticatedProblem")


@_attrs_define
class NotAuthenticatedProblem:
    """Not authenticated. The request has no access token, or its credentials are not valid. The name or the password is
    wrong, or the account is closed. The response does not say which. Name and password are correct, but the code of the
    second factor is missing or wrong. Get another access token, then send the request again.

    """

    type_: Literal["/problems/not-authenticated"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[401]
    code: Literal["not_authenticated"]
    detail: str
    """ A description of the problem for people, in the language of the request. """
    instance: str
    """ The path of the request. """
    request_id: str
    """ Include it when you report a fault. """
    otp_required: bool | Unset = UNSET
    """ Send the code of the second factor as `otp`. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        title = self.title

        status = self.status

        code = self.code

        detail = self.detail

        instance = self.instance

        request_id = self.request_id

        otp_required = self.otp_required

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
        if otp_required is not UNSET:
            field_dict["otpRequired"] = otp_required

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        type_ = cast(Literal["/problems/not-authenticated"], d.pop("type"))
        if type_ != "/problems/not-authenticated":
            raise ValueError(f"type must match const '/problems/not-authenticated', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[401], d.pop("status"))
        if status != 401:
            raise ValueError(f"status must match const 401, got '{status}'")

        code = cast(Literal["not_authenticated"], d.pop("code"))
        if code != "not_authenticated":
            raise ValueError(f"code must match const 'not_authenticated', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        otp_required = d.pop("otpRequired", UNSET)

        not_authenticated_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
            otp_required=otp_required,
        )

        not_authenticated_problem.additional_properties = d
        return not_authenticated_problem

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
