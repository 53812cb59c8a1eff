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

if TYPE_CHECKING:
    from ..models.excess_item import ExcessItem


T = TypeVar("T", bound="RefundExceedsOrderProblem")


@_attrs_define
class RefundExceedsOrderProblem:
    """Refund exceeds the order. More units were requested than were bought and are not refunded yet. A repeated request
    would get the same response. Change the request, or the state it depends on, first.

    """

    type_: Literal["/problems/refund-exceeds-order"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[400]
    code: Literal["refund_exceeds_order"]
    detail: str
    """ A description of the problem for people, in the language of the request. """
    instance: str
    """ The path of the request. """
    request_id: str
    """ Include it when you report a fault. """
    items: list[ExcessItem]
    """ Every product of which fewer units can be refunded. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        title = self.title

        status = self.status

        code = self.code

        detail = self.detail

        instance = self.instance

        request_id = self.request_id

        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

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
                "items": items,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.excess_item import ExcessItem  # noqa: PLC0415

        d = dict(src_dict)
        type_ = cast(Literal["/problems/refund-exceeds-order"], d.pop("type"))
        if type_ != "/problems/refund-exceeds-order":
            raise ValueError(f"type must match const '/problems/refund-exceeds-order', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[400], d.pop("status"))
        if status != 400:
            raise ValueError(f"status must match const 400, got '{status}'")

        code = cast(Literal["refund_exceeds_order"], d.pop("code"))
        if code != "refund_exceeds_order":
            raise ValueError(f"code must match const 'refund_exceeds_order', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = ExcessItem.from_dict(items_item_data)

            items.append(items_item)

        refund_exceeds_order_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
            items=items,
        )

        refund_exceeds_order_problem.additional_properties = d
        return refund_exceeds_order_problem

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
