"""The timeline of a customer, merged from the entries of all apps.

Defines an entry and its sources. Each app adds a `TimelineSource` for its kind of entry (`add_timeline_source`), so
that the page does not depend on the apps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise

May = Callable[[str], bool]
"""Whether the user has a permission, such as `outbox.view_outboxmessage`."""


@dataclass(frozen=True)
class Mark:
    """A coloured label beside an entry, such as a destination and the state of its message."""

    text: str
    colour: str
    address: str = ""


@dataclass(frozen=True)
class TimelineEntry:
    """An event of the timeline, with the URL of its details."""

    at: datetime
    icon: str
    """A name of Material Symbols."""
    title: str
    detail: str = ""
    address: str = ""
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Total:
    """A figure about a customer, with a link to the list behind it."""

    title: str | Promise
    figure: str
    address: str = ""


@dataclass(frozen=True)
class TimelineSource:
    """One kind of entry: the required permission, and the entries and figures of one customer."""

    right: str
    """Such as `orders.view_order`; "" if viewing the customer is enough."""
    moments: Callable[[int, datetime | None, int, May], Iterable[TimelineEntry]]
    """(user id, before, most, may): the newest `most` entries, before this time if it is not None."""
    totals: Callable[[int, May], Iterable[Total]] = lambda _user_id, _may: ()


_sources: dict[str, TimelineSource] = {}
_IN_ONE_INSTANT = 20
"""More entries than one action writes with the same time."""


def add_timeline_source(kind: str, source: TimelineSource) -> None:
    """Register a kind of entry, such as `orders`; replaces an earlier one of the same name."""
    _sources[kind] = source


def customer_timeline(
    user_id: int, may: May, *, before: datetime | None, most: int
) -> tuple[list[TimelineEntry], datetime | None]:
    """The newest entries of a customer before `before` that the user may view, newest first, and the next `before`.

    About `most` entries: entries with the same time are kept together. The second value is None at the end.
    """
    asked = most + _IN_ONE_INSTANT
    moments = [
        moment
        for source in _sources.values()
        if not source.right or may(source.right)
        for moment in source.moments(user_id, before, asked, may)
    ]
    moments.sort(key=lambda moment: moment.at, reverse=True)
    end = most
    while end < min(len(moments), asked) and moments[end].at == moments[end - 1].at:
        end += 1
    return moments[:end], moments[end - 1].at if len(moments) > end else None


def totals_of(user_id: int, may: May) -> list[Total]:
    """The figures about a customer that the user may view."""
    sources = [source for source in _sources.values() if not source.right or may(source.right)]
    return [total for source in sources for total in source.totals(user_id, may)]


def moment_in(text: str) -> datetime | None:
    """Parse a time from a query parameter, in ISO format; None if it is invalid."""
    try:
        moment = parse_datetime(text)
        return moment if moment is not None and timezone.is_aware(moment) and 1970 < moment.year < 2200 else None
    except ValueError:
        return None
