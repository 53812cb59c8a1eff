from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Product")


@_attrs_define
class Product:
    id: int
    name: str
    description: str
    price: int
    """ Won. """
    stock: int
    """ Available units, without those held for carts. Up to a minute old in the list. """
    purchase_limit: int | None
    """ Units that one customer may buy in total, without refunded ones; `null`: no limit. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        description = self.description

        price = self.price

        stock = self.stock

        purchase_limit: int | None
        purchase_limit = self.purchase_limit

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "description": description,
                "price": price,
                "stock": stock,
                "purchaseLimit": purchase_limit,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        description = d.pop("description")

        price = d.pop("price")

        stock = d.pop("stock")

        def _parse_purchase_limit(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        purchase_limit = _parse_purchase_limit(d.pop("purchaseLimit"))

        product = cls(
            id=id,
            name=name,
            description=description,
            price=price,
            stock=stock,
            purchase_limit=purchase_limit,
        )

        product.additional_properties = d
        return product

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
