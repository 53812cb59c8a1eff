from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="PopularProduct")


@_attrs_define
class PopularProduct:
    rank: int
    product_id: int
    name: str
    price: int
    """ Won. """
    quantity_sold: int
    """ Units from `from` on, less those that were cancelled or refunded. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        rank = self.rank

        product_id = self.product_id

        name = self.name

        price = self.price

        quantity_sold = self.quantity_sold

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "rank": rank,
                "productId": product_id,
                "name": name,
                "price": price,
                "quantitySold": quantity_sold,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        rank = d.pop("rank")

        product_id = d.pop("productId")

        name = d.pop("name")

        price = d.pop("price")

        quantity_sold = d.pop("quantitySold")

        popular_product = cls(
            rank=rank,
            product_id=product_id,
            name=name,
            price=price,
            quantity_sold=quantity_sold,
        )

        popular_product.additional_properties = d
        return popular_product

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
