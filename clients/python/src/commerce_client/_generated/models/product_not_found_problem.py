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

T = TypeVar("T", bound="ProductNotFoundProblem")


@_attrs_define
class ProductNotFoundProblem:
    """Product not found. There is no such product, or it is not for sale. A repeated request would get the same response.
    Change the request, or the state it depends on, first.

    """

    type_: Literal["/problems/product-not-found"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[404]
    code: Literal["product_not_found"]
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
        type_ = cast(Literal["/problems/product-not-found"], d.pop("type"))
        if type_ != "/problems/product-not-found":
            raise ValueError(f"type must match const '/problems/product-not-found', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[404], d.pop("status"))
        if status != 404:
            raise ValueError(f"status must match const 404, got '{status}'")

        code = cast(Literal["product_not_found"], d.pop("code"))
        if code != "product_not_found":
            raise ValueError(f"code must match const 'product_not_found', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        product_not_found_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
        )

        product_not_found_problem.additional_properties = d
        return product_not_found_problem

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
