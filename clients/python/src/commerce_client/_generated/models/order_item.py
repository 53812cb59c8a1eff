from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="OrderItem")


@_attrs_define
class OrderItem:
    product_id: int
    product_name: str
    unit_price: int
    """ Price in won at the time of the order. """
    quantity: int
    subtotal: int
    """ Won. """
    refunded_quantity: int
    """ The refunded part of `quantity`. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        product_id = self.product_id

        product_name = self.product_name

        unit_price = self.unit_price

        quantity = self.quantity

        subtotal = self.subtotal

        refunded_quantity = self.refunded_quantity

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "productId": product_id,
                "productName": product_name,
                "unitPrice": unit_price,
                "quantity": quantity,
                "subtotal": subtotal,
                "refundedQuantity": refunded_quantity,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        product_id = d.pop("productId")

        product_name = d.pop("productName")

        unit_price = d.pop("unitPrice")

        quantity = d.pop("quantity")

        subtotal = d.pop("subtotal")

        refunded_quantity = d.pop("refundedQuantity")

        order_item = cls(
            product_id=product_id,
            product_name=product_name,
            unit_price=unit_price,
            quantity=quantity,
            subtotal=subtotal,
            refunded_quantity=refunded_quantity,
        )

        order_item.additional_properties = d
        return order_item

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
