from __future__ import annotations

from collections.abc import Mapping
from typing import (
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ReservationExpiredProblem")


@_attrs_define
class ReservationExpiredProblem:
    """Reservation expired. The reservation is not active any more: it has expired, was released or replaced, or has been
    ordered. A repeated request would get the same response. Change the request, or the state it depends on, first.

    """

    type_: Literal["/problems/reservation-expired"]
    title: str
    """ The kind of problem, for people. """
    status: Literal[400]
    code: Literal["reservation_expired"]
    detail: str
    """ A description of the problem for people, in the language of the request. """
    instance: str
    """ The path of the request. """
    request_id: str
    """ Include it when you report a fault. """
    reservation_status: str
    """ Why: `EXPIRED`, `RELEASED`, `REPLACED` or `PAID`. """
    order_id: int | Unset = UNSET
    """ With PAID: the order that has paid it. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        title = self.title

        status = self.status

        code = self.code

        detail = self.detail

        instance = self.instance

        request_id = self.request_id

        reservation_status = self.reservation_status

        order_id = self.order_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
                "title": title,
                "status": status,
                "code": code,
                "detail": detail,
                "instance": instance,
                "requestId": request_id,
                "reservationStatus": reservation_status,
            }
        )
        if order_id is not UNSET:
            field_dict["orderId"] = order_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        type_ = cast(Literal["/problems/reservation-expired"], d.pop("type"))
        if type_ != "/problems/reservation-expired":
            raise ValueError(f"type must match const '/problems/reservation-expired', got '{type_}'")

        title = d.pop("title")

        status = cast(Literal[400], d.pop("status"))
        if status != 400:
            raise ValueError(f"status must match const 400, got '{status}'")

        code = cast(Literal["reservation_expired"], d.pop("code"))
        if code != "reservation_expired":
            raise ValueError(f"code must match const 'reservation_expired', got '{code}'")

        detail = d.pop("detail")

        instance = d.pop("instance")

        request_id = d.pop("requestId")

        reservation_status = d.pop("reservationStatus")

        order_id = d.pop("orderId", UNSET)

        reservation_expired_problem = cls(
            type_=type_,
            title=title,
            status=status,
            code=code,
            detail=detail,
            instance=instance,
            request_id=request_id,
            reservation_status=reservation_status,
            order_id=order_id,
        )

        reservation_expired_problem.additional_properties = d
        return reservation_expired_problem

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
