from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.ledger_entry_type import LedgerEntryType

T = TypeVar("T", bound="LedgerEntry")


@_attrs_define
class LedgerEntry:
    """One change of a balance. The balance is the sum of all entries of the account."""

    id: int
    type_: LedgerEntryType
    """ * `CHARGE` - Charge
    * `PAYMENT` - Payment
    * `REFUND` - Refund
    * `ADJUSTMENT` - Adjustment """
    amount: int
    """ Won, signed. """
    balance_after: int
    order_id: int | None
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        type_ = self.type_.value

        amount = self.amount

        balance_after = self.balance_after

        order_id: int | None
        order_id = self.order_id

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "type": type_,
                "amount": amount,
                "balanceAfter": balance_after,
                "orderId": order_id,
                "createdAt": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        type_ = LedgerEntryType(d.pop("type"))

        amount = d.pop("amount")

        balance_after = d.pop("balanceAfter")

        def _parse_order_id(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        order_id = _parse_order_id(d.pop("orderId"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        ledger_entry = cls(
            id=id,
            type_=type_,
            amount=amount,
            balance_after=balance_after,
            order_id=order_id,
            created_at=created_at,
        )

        ledger_entry.additional_properties = d
        return ledger_entry

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
