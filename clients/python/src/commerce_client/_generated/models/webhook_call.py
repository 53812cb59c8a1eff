from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.webhook_call_outcome import WebhookCallOutcome

T = TypeVar("T", bound="WebhookCall")


@_attrs_define
class WebhookCall:
    """One call to a subscription."""

    id: int
    event_id: str
    event_type: str
    attempted_at: datetime.datetime
    duration_ms: int
    http_status: int | None
    outcome: WebhookCallOutcome
    """ * `acknowledged` - acknowledged
    * `refused` - refused
    * `no-answer` - no answer """
    error: str
    """ Empty if the call was acknowledged. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        event_id = self.event_id

        event_type = self.event_type

        attempted_at = self.attempted_at.isoformat()

        duration_ms = self.duration_ms

        http_status: int | None
        http_status = self.http_status

        outcome = self.outcome.value

        error = self.error

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "eventId": event_id,
                "eventType": event_type,
                "attemptedAt": attempted_at,
                "durationMs": duration_ms,
                "httpStatus": http_status,
                "outcome": outcome,
                "error": error,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        event_id = d.pop("eventId")

        event_type = d.pop("eventType")

        attempted_at = datetime.datetime.fromisoformat(d.pop("attemptedAt"))

        duration_ms = d.pop("durationMs")

        def _parse_http_status(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        http_status = _parse_http_status(d.pop("httpStatus"))

        outcome = WebhookCallOutcome(d.pop("outcome"))

        error = d.pop("error")

        webhook_call = cls(
            id=id,
            event_id=event_id,
            event_type=event_type,
            attempted_at=attempted_at,
            duration_ms=duration_ms,
            http_status=http_status,
            outcome=outcome,
            error=error,
        )

        webhook_call.additional_properties = d
        return webhook_call

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
