"""Which event goes where: reads the table that `EVENT_ROUTES` names.

Owns the look-up; the table itself stands at the top of the project, where every destination is known.
"""

from collections.abc import Mapping
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

KAFKA = "kafka"
DATA_PLATFORM = "data-platform"
PRODUCT_STATS = "product-stats"


@cache
def _routes(path: str) -> Mapping[str, tuple[str, ...]]:
    routes: Mapping[str, tuple[str, ...]] = import_string(path)
    return routes


def destinations_of(event_type: str) -> tuple[str, ...]:
    """The destinations of an event type that are switched on. Raises KeyError for a type without a route."""
    return tuple(name for name in _routes(settings.EVENT_ROUTES)[event_type] if is_switched_on(name))


def event_types_to(destination: str) -> list[str]:
    """Every event type that goes to `destination`, in the order of the table, switched on or not."""
    return [event_type for event_type, names in _routes(settings.EVENT_ROUTES).items() if destination in names]


def is_switched_on(destination: str) -> bool:
    if destination == DATA_PLATFORM:
        return bool(settings.DATA_PLATFORM_URL)
    if destination == PRODUCT_STATS:
        return bool(settings.PRODUCT_STATS_MODE == "inline")
    return True
