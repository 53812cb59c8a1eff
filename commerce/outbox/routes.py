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


def is_switched_on(destination: str) -> bool:
    if destination == DATA_PLATFORM:
        return bool(settings.DATA_PLATFORM_URL)
    if destination == PRODUCT_STATS:
        return bool(settings.PRODUCT_STATS_MODE == "inline")
    return True
