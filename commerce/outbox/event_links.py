"""Where the fact that an event tells has its page, and where the event's messages and its counting are listed.

Owns the addresses; whether the reader may open them is for the page to ask.
"""

from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html

from commerce.core.whole_numbers import whole_number

_PAGES_OF_FACTS = {
    "order-refunded": "admin:orders_order_of_refund",
    "order": "admin:orders_order_change",
    "balance": "admin:balances_ledgerentry_change",
}
"""By the event's type, or by its first word."""
_LINK = '<a class="text-link" href="{}">{}</a>'
NOTHING = "–"


def fact_link(event_id: str) -> str:
    """A link to the page of the fact, such as the order of an `order-completed`; a dash where it has none."""
    kind, _colon, rest = event_id.partition(":")
    page = _PAGES_OF_FACTS.get(kind) or _PAGES_OF_FACTS.get(kind.partition("-")[0])
    number = whole_number(rest.partition(":")[0])
    if page is None or number is None:
        return NOTHING
    return format_html(_LINK, reverse(page, args=[number]), f"#{number}")


def list_link(list_name: str, event_id: str) -> str:
    """A link to what a list, such as `outbox_outboxmessage`, has of the event."""
    return format_html(_LINK, f"{reverse(f'admin:{list_name}_changelist')}?{urlencode({'q': event_id})}", event_id)
