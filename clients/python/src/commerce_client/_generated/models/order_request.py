from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.order_item_request import OrderItemRequest


T = TypeVar("T", bound="OrderRequest")


@_attrs_define
class OrderRequest:
    """A new order: items or a reservation, and optionally a coupon, by the `id` of the issued coupon."""

    items: list[OrderItemRequest] | Unset = UNSET
    """ Required unless `reservationId` is given. """
    reservation_id: int | None | Unset = UNSET
    """ Instead of `items`: exactly the items of this reservation. """
    user_coupon_id: int | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        items: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.items, Unset):
            items = []
            for items_item_data in self.items:
                items_item = items_item_data.to_dict()
                items.append(items_item)

        reservation_id: int | None | Unset
        if isinstance(self.reservation_id, Unset):
            reservation_id = UNSET
        else:
            reservation_id = self.reservation_id

        user_coupon_id: int | None | Unset
        if isinstance(self.user_coupon_id, Unset):
            user_coupon_id = UNSET
        else:
            user_coupon_id = self.user_coupon_id

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if items is not UNSET:
            field_dict["items"] = items
        if reservation_id is not UNSET:
            field_dict["reservationId"] = reservation_id
        if user_coupon_id is not UNSET:
            field_dict["userCouponId"] = user_coupon_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.order_item_request import OrderItemRequest  # noqa: PLC0415

        d = dict(src_dict)
        _items = d.pop("items", UNSET)
        items: list[OrderItemRequest] | Unset = UNSET
        if _items is not UNSET:
            items = []
            for items_item_data in _items:
                items_item = OrderItemRequest.from_dict(items_item_data)

                items.append(items_item)

        def _parse_reservation_id(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        reservation_id = _parse_reservation_id(d.pop("reservationId", UNSET))

        def _parse_user_coupon_id(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        user_coupon_id = _parse_user_coupon_id(d.pop("userCouponId", UNSET))

        order_request = cls(
            items=items,
            reservation_id=reservation_id,
            user_coupon_id=user_coupon_id,
        )

        return order_request
