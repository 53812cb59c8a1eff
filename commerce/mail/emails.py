"""E-mails to customers about events: one template per event type and language. Does not send them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.timezone import get_default_timezone

from commerce.outbox.routes import MAIL, event_types_to


@dataclass(frozen=True)
class EmailContent:
    """Subject and body of an e-mail."""

    subject: str
    text: str
    html: str


def email_types() -> list[str]:
    """All event types with a template."""
    return event_types_to(MAIL)


def languages() -> list[str]:
    return [code for code, _name in settings.LANGUAGES]


def email_content(event: Mapping[str, Any], *, language: str) -> EmailContent:
    """The e-mail about a CloudEvent. Raises TemplateDoesNotExist for a type or language without a template."""
    shown = {
        "data": _data(event["data"]),
        "language": language,
        "shop": settings.EMAIL_SHOP_NAME,
    }
    folder = f"mail/{language}/{event['type']}"
    with translation.override(language):
        subject, _blank, text = render_to_string(f"{folder}.txt", shown).strip().partition("\n")
        html = render_to_string(f"{folder}.html", {**shown, "subject": subject})
    return EmailContent(subject.strip(), text.strip() + "\n", html.strip() + "\n")


def email_to(address: str, event: Mapping[str, Any], *, language: str) -> EmailMultiAlternatives:
    """The e-mail about an event, with its receiver and headers."""
    content = email_content(event, language=language)
    email = EmailMultiAlternatives(
        content.subject,
        content.text,
        settings.DEFAULT_FROM_EMAIL,
        [address],
        headers={
            "Message-ID": message_id(event["id"]),
            # Suppresses automatic replies (RFC 3834).
            "Auto-Submitted": "auto-generated",
            "Content-Language": language,
        },
    )
    email.attach_alternative(content.html, "text/html")
    return email


def message_id(event_id: str) -> str:
    """The Message-ID: the same for every delivery of an event, so that duplicates can be recognised."""
    _name, _at, domain = settings.DEFAULT_FROM_EMAIL.rstrip(">").rpartition("@")
    # A Message-ID may not contain a colon (RFC 5322).
    return f"<{event_id.replace(':', '.')}@{domain}>"


def event_of(payload: bytes) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(payload)
    return event


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The context of a template: times in the shop's time zone, and refund items with their product names."""
    shown = {name: _moment(value) if name.endswith("At") else value for name, value in data.items()}
    if "order" in data:
        names = {item["productId"]: item["productName"] for item in data["order"]["items"]}
        shown["items"] = [
            {**item, "productName": names[item["productId"]], "subtotal": item["amount"]} for item in data["items"]
        ]
    return shown


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(get_default_timezone()) if value else None
