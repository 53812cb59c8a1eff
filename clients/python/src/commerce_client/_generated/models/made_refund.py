from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.order import Order
    from ..models.refunded_item import RefundedItem


T = TypeVar("T", bound="MadeRefund")


@_attrs_define
class MadeRefund:
    """A new refund, with the order after it."""

    id: int
    order_id: int
    items: list[RefundedItem]
    amount: int
    """ Sum of all items, in won. """
    restock: bool
    """ Whether the units were returned to the stock. """
    reason: str
    created_at: datetime.datetime
    order: Order
    """ An order. Names and prices of its items are those at the time of the order. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        order_id = self.order_id

        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        amount = self.amount

        restock = self.restock

        reason = self.reason

        created_at = self.created_at.isoformat()

        order = self.order.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "orderId": order_id,
                "items": items,
                "amount": amount,
                "restock": restock,
                "reason": reason,
                "createdAt": created_at,
                "order": order,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.order import Order  # noqa: PLC0415
        from ..models.refunded_item import RefundedItem  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        order_id = d.pop("orderId")

        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = RefundedItem.from_dict(items_item_data)

            items.append(items_item)

        amount = d.pop("amount")

        restock = d.pop("restock")

        reason = d.pop("reason")

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        order = Order.from_dict(d.pop("order"))

        made_refund = cls(
            id=id,
            order_id=order_id,
            items=items,
            amount=amount,
            restock=restock,
            reason=reason,
            created_at=created_at,
            order=order,
        )

        made_refund.additional_properties = d
        return made_refund

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
