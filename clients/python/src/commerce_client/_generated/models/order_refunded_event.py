from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.made_refund import MadeRefund


T = TypeVar("T", bound="OrderRefundedEvent")


@_attrs_define
class OrderRefundedEvent:
    """A CloudEvent 1.0."""

    specversion: Literal["1.0"]
    id: str
    """ Unique for each event, and the same in every repeat. Compare it as a whole. """
    source: str
    type_: Literal["order-refunded"]
    subject: str
    time: datetime.datetime
    """ When it happened. """
    datacontenttype: Literal["application/json"]
    data: MadeRefund
    """ A new refund, with the order after it. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        specversion = self.specversion

        id = self.id

        source = self.source

        type_ = self.type_

        subject = self.subject

        time = self.time.isoformat()

        datacontenttype = self.datacontenttype

        data = self.data.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "specversion": specversion,
                "id": id,
                "source": source,
                "type": type_,
                "subject": subject,
                "time": time,
                "datacontenttype": datacontenttype,
                "data": data,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.made_refund import MadeRefund  # noqa: PLC0415

        d = dict(src_dict)
        specversion = cast(Literal["1.0"], d.pop("specversion"))
        if specversion != "1.0":
            raise ValueError(f"specversion must match const '1.0', got '{specversion}'")

        id = d.pop("id")

        source = d.pop("source")

        type_ = cast(Literal["order-refunded"], d.pop("type"))
        if type_ != "order-refunded":
            raise ValueError(f"type must match const 'order-refunded', got '{type_}'")

        subject = d.pop("subject")

        time = datetime.datetime.fromisoformat(d.pop("time"))

        datacontenttype = cast(Literal["application/json"], d.pop("datacontenttype"))
        if datacontenttype != "application/json":
            raise ValueError(f"datacontenttype must match const 'application/json', got '{datacontenttype}'")

        data = MadeRefund.from_dict(d.pop("data"))

        order_refunded_event = cls(
            specversion=specversion,
            id=id,
            source=source,
            type_=type_,
            subject=subject,
            time=time,
            datacontenttype=datacontenttype,
            data=data,
        )

        order_refunded_event.additional_properties = d
        return order_refunded_event

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
