from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.discount_type import DiscountType
from ..models.user_coupon_status import UserCouponStatus

T = TypeVar("T", bound="UserCoupon")


@_attrs_define
class UserCoupon:
    """A coupon that a customer holds, with the terms that it was issued with."""

    id: int
    coupon_id: int
    name: str
    discount_type: DiscountType
    """ * `FIXED` - Fixed amount
    * `PERCENT` - Percent """
    discount_value: int
    max_discount: int | None
    min_order_amount: int
    status: UserCouponStatus
    """ * `AVAILABLE` - AVAILABLE
    * `USED` - USED
    * `EXPIRED` - EXPIRED """
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    used_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        coupon_id = self.coupon_id

        name = self.name

        discount_type = self.discount_type.value

        discount_value = self.discount_value

        max_discount: int | None
        max_discount = self.max_discount

        min_order_amount = self.min_order_amount

        status = self.status.value

        issued_at = self.issued_at.isoformat()

        expires_at = self.expires_at.isoformat()

        used_at: None | str
        if isinstance(self.used_at, datetime.datetime):
            used_at = self.used_at.isoformat()
        else:
            used_at = self.used_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "couponId": coupon_id,
                "name": name,
                "discountType": discount_type,
                "discountValue": discount_value,
                "maxDiscount": max_discount,
                "minOrderAmount": min_order_amount,
                "status": status,
                "issuedAt": issued_at,
                "expiresAt": expires_at,
                "usedAt": used_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        coupon_id = d.pop("couponId")

        name = d.pop("name")

        discount_type = DiscountType(d.pop("discountType"))

        discount_value = d.pop("discountValue")

        def _parse_max_discount(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        max_discount = _parse_max_discount(d.pop("maxDiscount"))

        min_order_amount = d.pop("minOrderAmount")

        status = UserCouponStatus(d.pop("status"))

        issued_at = datetime.datetime.fromisoformat(d.pop("issuedAt"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expiresAt"))

        def _parse_used_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                used_at_type_0 = datetime.datetime.fromisoformat(data)

                return used_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        used_at = _parse_used_at(d.pop("usedAt"))

        user_coupon = cls(
            id=id,
            coupon_id=coupon_id,
            name=name,
            discount_type=discount_type,
            discount_value=discount_value,
            max_discount=max_discount,
            min_order_amount=min_order_amount,
            status=status,
            issued_at=issued_at,
            expires_at=expires_at,
            used_at=used_at,
        )

        user_coupon.additional_properties = d
        return user_coupon

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
