from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..models.webhook_event_type import WebhookEventType
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedWebhookChanges")


@_attrs_define
class PatchedWebhookChanges:
    """Changes of a subscription; missing fields are unchanged."""

    name: str | Unset = UNSET
    url: str | Unset = UNSET
    """ https, to a public address. """
    event_types: list[WebhookEventType] | Unset = UNSET
    active: bool | Unset = UNSET
    """ `false`: no messages are sent, and waiting ones are parked. """

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        url = self.url

        event_types: list[str] | Unset = UNSET
        if not isinstance(self.event_types, Unset):
            event_types = []
            for event_types_item_data in self.event_types:
                event_types_item = event_types_item_data.value
                event_types.append(event_types_item)

        active = self.active

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if url is not UNSET:
            field_dict["url"] = url
        if event_types is not UNSET:
            field_dict["eventTypes"] = event_types
        if active is not UNSET:
            field_dict["active"] = active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        url = d.pop("url", UNSET)

        _event_types = d.pop("eventTypes", UNSET)
        event_types: list[WebhookEventType] | Unset = UNSET
        if _event_types is not UNSET:
            event_types = []
            for event_types_item_data in _event_types:
                event_types_item = WebhookEventType(event_types_item_data)

                event_types.append(event_types_item)

        active = d.pop("active", UNSET)

        patched_webhook_changes = cls(
            name=name,
            url=url,
            event_types=event_types,
            active=active,
        )

        return patched_webhook_changes
