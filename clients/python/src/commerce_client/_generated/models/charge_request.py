from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="ChargeRequest")


@_attrs_define
class ChargeRequest:
    """A charge: amount and account."""

    amount: int
    """ Won to add. """
    user_id: int | Unset = UNSET
    """ Default: the caller. """
    reason: str | Unset = UNSET
    """ Why; with another's account only, which is for staff with the right to it. """

    def to_dict(self) -> dict[str, Any]:
        amount = self.amount

        user_id = self.user_id

        reason = self.reason

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "amount": amount,
            }
        )
        if user_id is not UNSET:
            field_dict["userId"] = user_id
        if reason is not UNSET:
            field_dict["reason"] = reason

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        amount = d.pop("amount")

        user_id = d.pop("userId", UNSET)

        reason = d.pop("reason", UNSET)

        charge_request = cls(
            amount=amount,
            user_id=user_id,
            reason=reason,
        )

        return charge_request
