"""Links from an event to the page of its subject, and to lists of its messages. Pages check the permissions."""

from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html

from commerce.core.whole_numbers import whole_number

_PAGES_OF_FACTS = {
    "order-refunded": "admin:orders_order_of_refund",
    "order": "admin:orders_order_change",
    "balance": "admin:balances_ledgerentry_change",
}
"""By the event's type, or by the first word of it."""
_LINK = '<a class="text-link" href="{}">{}</a>'
NOTHING = "–"


def fact_link(event_id: str) -> str:
    """A link to the event's subject, such as the order of an `order-completed`; a dash if it has no page."""
    kind, _colon, rest = event_id.partition(":")
    page = _PAGES_OF_FACTS.get(kind) or _PAGES_OF_FACTS.get(kind.partition("-")[0])
    number = whole_number(rest.partition(":")[0])
    if page is None or number is None:
        return NOTHING
    return format_html(_LINK, reverse(page, args=[number]), f"#{number}")


def list_link(list_name: str, event_id: str) -> str:
    """A link to the rows of the event in a list such as `outbox_outboxmessage`."""
    return format_html(_LINK, f"{reverse(f'admin:{list_name}_changelist')}?{urlencode({'q': event_id})}", event_id)
