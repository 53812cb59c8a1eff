from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.order_status import OrderStatus

if TYPE_CHECKING:
    from ..models.order_item import OrderItem


T = TypeVar("T", bound="Order")


@_attrs_define
class Order:
    """An order. Names and prices of its items are those at the time of the order."""

    id: int
    user_id: int
    status: OrderStatus
    """ * `PROCESSING` - Processing
    * `COMPLETED` - Completed
    * `CANCELLED` - Cancelled
    * `REFUNDED` - Refunded """
    items: list[OrderItem]
    total_amount: int
    """ Won. """
    discount_amount: int
    """ Won. """
    paid_amount: int
    """ Won. """
    refunded_amount: int
    """ The refunded part of `paidAmount`, in won. """
    user_coupon_id: int | None
    created_at: datetime.datetime
    completed_at: datetime.datetime | None
    cancelled_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        user_id = self.user_id

        status = self.status.value

        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        total_amount = self.total_amount

        discount_amount = self.discount_amount

        paid_amount = self.paid_amount

        refunded_amount = self.refunded_amount

        user_coupon_id: int | None
        user_coupon_id = self.user_coupon_id

        created_at = self.created_at.isoformat()

        completed_at: None | str
        if isinstance(self.completed_at, datetime.datetime):
            completed_at = self.completed_at.isoformat()
        else:
            completed_at = self.completed_at

        cancelled_at: None | str
        if isinstance(self.cancelled_at, datetime.datetime):
            cancelled_at = self.cancelled_at.isoformat()
        else:
            cancelled_at = self.cancelled_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "userId": user_id,
                "status": status,
                "items": items,
                "totalAmount": total_amount,
                "discountAmount": discount_amount,
                "paidAmount": paid_amount,
                "refundedAmount": refunded_amount,
                "userCouponId": user_coupon_id,
                "createdAt": created_at,
                "completedAt": completed_at,
                "cancelledAt": cancelled_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.order_item import OrderItem  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        user_id = d.pop("userId")

        status = OrderStatus(d.pop("status"))

        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = OrderItem.from_dict(items_item_data)

            items.append(items_item)

        total_amount = d.pop("totalAmount")

        discount_amount = d.pop("discountAmount")

        paid_amount = d.pop("paidAmount")

        refunded_amount = d.pop("refundedAmount")

        def _parse_user_coupon_id(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        user_coupon_id = _parse_user_coupon_id(d.pop("userCouponId"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        def _parse_completed_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                completed_at_type_0 = datetime.datetime.fromisoformat(data)

                return completed_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        completed_at = _parse_completed_at(d.pop("completedAt"))

        def _parse_cancelled_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                cancelled_at_type_0 = datetime.datetime.fromisoformat(data)

                return cancelled_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        cancelled_at = _parse_cancelled_at(d.pop("cancelledAt"))

        order = cls(
            id=id,
            user_id=user_id,
            status=status,
            items=items,
            total_amount=total_amount,
            discount_amount=discount_amount,
            paid_amount=paid_amount,
            refunded_amount=refunded_amount,
            user_coupon_id=user_coupon_id,
            created_at=created_at,
            completed_at=completed_at,
            cancelled_at=cancelled_at,
        )

        order.additional_properties = d
        return order

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
