"""The format of times in the API and in events: ISO 8601 in the shop's time zone."""

from datetime import datetime, tzinfo
from functools import lru_cache
from typing import overload

from django.utils import timezone


@overload
def local_time(moment: datetime) -> str: ...
@overload
def local_time(moment: None) -> None: ...


def local_time(moment: datetime | None) -> str | None:
    """The time as ISO 8601 in the shop's time zone; None for None."""
    return None if moment is None else _in_zone(moment, timezone.get_default_timezone())


# Cached: an order contains its time a dozen times, and the writes of one transaction have the same time.
@lru_cache(maxsize=1_000)
def _in_zone(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat()
