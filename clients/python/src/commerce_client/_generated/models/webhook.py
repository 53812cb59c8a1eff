from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.webhook_event_type import WebhookEventType
from ..models.webhook_off_because import WebhookOffBecause

T = TypeVar("T", bound="Webhook")


@_attrs_define
class Webhook:
    """A subscription, without its secret."""

    id: int
    name: str
    url: str
    event_types: list[WebhookEventType]
    active: bool
    off_because: None | WebhookOffBecause
    """ `gone`: it responded `410`; `failing`: all its calls have failed for days.

    * `staff` - staff
    * `failing` - failing
    * `gone` - gone """
    off_since: datetime.datetime | None
    failing_since: datetime.datetime | None
    """ The time since which no call has succeeded. """
    previous_secret_until: datetime.datetime | None
    """ The time until which calls have two signatures. """
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        url = self.url

        event_types = []
        for event_types_item_data in self.event_types:
            event_types_item = event_types_item_data.value
            event_types.append(event_types_item)

        active = self.active

        off_because: None | str
        if isinstance(self.off_because, WebhookOffBecause):
            off_because = self.off_because.value
        else:
            off_because = self.off_because

        off_since: None | str
        if isinstance(self.off_since, datetime.datetime):
            off_since = self.off_since.isoformat()
        else:
            off_since = self.off_since

        failing_since: None | str
        if isinstance(self.failing_since, datetime.datetime):
            failing_since = self.failing_since.isoformat()
        else:
            failing_since = self.failing_since

        previous_secret_until: None | str
        if isinstance(self.previous_secret_until, datetime.datetime):
            previous_secret_until = self.previous_secret_until.isoformat()
        else:
            previous_secret_until = self.previous_secret_until

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "url": url,
                "eventTypes": event_types,
                "active": active,
                "offBecause": off_because,
                "offSince": off_since,
                "failingSince": failing_since,
                "previousSecretUntil": previous_secret_until,
                "createdAt": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        url = d.pop("url")

        event_types = []
        _event_types = d.pop("eventTypes")
        for event_types_item_data in _event_types:
            event_types_item = WebhookEventType(event_types_item_data)

            event_types.append(event_types_item)

        active = d.pop("active")

        def _parse_off_because(data: object) -> None | WebhookOffBecause:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                off_because_type_0 = WebhookOffBecause(data)

                return off_because_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | WebhookOffBecause, data)

        off_because = _parse_off_because(d.pop("offBecause"))

        def _parse_off_since(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                off_since_type_0 = datetime.datetime.fromisoformat(data)

                return off_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        off_since = _parse_off_since(d.pop("offSince"))

        def _parse_failing_since(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                failing_since_type_0 = datetime.datetime.fromisoformat(data)

                return failing_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        failing_since = _parse_failing_since(d.pop("failingSince"))

        def _parse_previous_secret_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                previous_secret_until_type_0 = datetime.datetime.fromisoformat(data)

                return previous_secret_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        previous_secret_until = _parse_previous_secret_until(d.pop("previousSecretUntil"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        webhook = cls(
            id=id,
            name=name,
            url=url,
            event_types=event_types,
            active=active,
            off_because=off_because,
            off_since=off_since,
            failing_since=failing_since,
            previous_secret_until=previous_secret_until,
            created_at=created_at,
        )

        webhook.additional_properties = d
        return webhook

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
