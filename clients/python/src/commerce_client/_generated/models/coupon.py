from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.discount_type import DiscountType

T = TypeVar("T", bound="Coupon")


@_attrs_define
class Coupon:
    id: int
    name: str
    discount_type: DiscountType
    """ * `FIXED` - Fixed amount
    * `PERCENT` - Percent """
    discount_value: int
    """ Won for FIXED, percent for PERCENT. """
    max_discount: int | None
    """ Won. """
    min_order_amount: int
    """ Won. """
    total_quantity: int
    remaining: int
    issue_starts_at: datetime.datetime
    issue_ends_at: datetime.datetime
    valid_until: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        discount_type = self.discount_type.value

        discount_value = self.discount_value

        max_discount: int | None
        max_discount = self.max_discount

        min_order_amount = self.min_order_amount

        total_quantity = self.total_quantity

        remaining = self.remaining

        issue_starts_at = self.issue_starts_at.isoformat()

        issue_ends_at = self.issue_ends_at.isoformat()

        valid_until = self.valid_until.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "discountType": discount_type,
                "discountValue": discount_value,
                "maxDiscount": max_discount,
                "minOrderAmount": min_order_amount,
                "totalQuantity": total_quantity,
                "remaining": remaining,
                "issueStartsAt": issue_starts_at,
                "issueEndsAt": issue_ends_at,
                "validUntil": valid_until,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        discount_type = DiscountType(d.pop("discountType"))

        discount_value = d.pop("discountValue")

        def _parse_max_discount(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        max_discount = _parse_max_discount(d.pop("maxDiscount"))

        min_order_amount = d.pop("minOrderAmount")

        total_quantity = d.pop("totalQuantity")

        remaining = d.pop("remaining")

        issue_starts_at = datetime.datetime.fromisoformat(d.pop("issueStartsAt"))

        issue_ends_at = datetime.datetime.fromisoformat(d.pop("issueEndsAt"))

        valid_until = datetime.datetime.fromisoformat(d.pop("validUntil"))

        coupon = cls(
            id=id,
            name=name,
            discount_type=discount_type,
            discount_value=discount_value,
            max_discount=max_discount,
            min_order_amount=min_order_amount,
            total_quantity=total_quantity,
            remaining=remaining,
            issue_starts_at=issue_starts_at,
            issue_ends_at=issue_ends_at,
            valid_until=valid_until,
        )

        coupon.additional_properties = d
        return coupon

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
