from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.order_item_request import OrderItemRequest


T = TypeVar("T", bound="RefundRequest")


@_attrs_define
class RefundRequest:
    """A refund by staff: units of the order's products, each product once, and the reason."""

    items: list[OrderItemRequest]
    reason: str
    """ The reason, which the customer can read. """
    restock: bool | Unset = True
    """ Whether the units can be sold again; `false` for damaged goods. """

    def to_dict(self) -> dict[str, Any]:
        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        reason = self.reason

        restock = self.restock

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "items": items,
                "reason": reason,
            }
        )
        if restock is not UNSET:
            field_dict["restock"] = restock

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.order_item_request import OrderItemRequest  # noqa: PLC0415

        d = dict(src_dict)
        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = OrderItemRequest.from_dict(items_item_data)

            items.append(items_item)

        reason = d.pop("reason")

        restock = d.pop("restock", UNSET)

        refund_request = cls(
            items=items,
            reason=reason,
            restock=restock,
        )

        return refund_request
