"""The destinations of event types, read from the table that the setting `EVENT_ROUTES` names."""

from collections.abc import Mapping
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

KAFKA = "kafka"
DATA_PLATFORM = "data-platform"
PRODUCT_STATS = "product-stats"
MAIL = "mail"
WEBHOOKS = "webhooks"
"""Webhook subscriptions: they receive the events of their types that also go to Kafka, and those that name it."""

WITHOUT_ORDER = (DATA_PLATFORM, MAIL, WEBHOOKS)
"""Destinations without a guaranteed order: sent messages may be sent again."""
_SWITCHED = frozenset({DATA_PLATFORM, PRODUCT_STATS, MAIL})
"""Destinations that a setting switches on."""


@cache
def _routes(path: str) -> Mapping[str, tuple[str, ...]]:
    routes: Mapping[str, tuple[str, ...]] = import_string(path)
    return routes


def destinations_of(event_type: str) -> tuple[str, ...]:
    """The destinations of an event type that are switched on. Raises KeyError for a type without a route.

    Webhooks are not among them: who has subscribed is read by the statement that writes the messages.
    """
    names = _routes(settings.EVENT_ROUTES)[event_type]
    # Called for every order, and a list is faster than a generator.
    return tuple([name for name in names if name != WEBHOOKS and (name not in _SWITCHED or is_switched_on(name))])


def event_types_to(destination: str) -> list[str]:
    """The event types of `destination`, in the order of the table, switched on or not."""
    wanted = {destination, KAFKA} if destination == WEBHOOKS else {destination}
    return [event_type for event_type, names in _routes(settings.EVENT_ROUTES).items() if wanted.intersection(names)]


def is_switched_on(destination: str) -> bool:
    if destination == DATA_PLATFORM:
        return bool(settings.DATA_PLATFORM_URL)
    if destination == PRODUCT_STATS:
        return bool(settings.PRODUCT_STATS_MODE == "inline")
    if destination == MAIL:
        return bool(settings.EMAIL_HOST)
    return True
