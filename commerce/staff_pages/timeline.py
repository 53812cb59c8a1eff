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
"""Whether the reader has a right, such as `outbox.view_outboxmessage`."""


@dataclass(frozen=True)
class Mark:
    """A coloured word beside a moment, such as one destination and where its message stands."""

    text: str
    colour: str
    address: str = ""


@dataclass(frozen=True)
class TimelineEntry:
    """Something that happened to the customer, with the address of the page about it."""

    at: datetime
    icon: str
    """A name of Material Symbols."""
    title: str
    detail: str = ""
    address: str = ""
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Total:
    """A figure about a customer, and the list behind it."""

    title: str | Promise
    figure: str
    address: str = ""


@dataclass(frozen=True)
class TimelineSource:
    """One kind of entry: the right to read it, and the entries of one customer."""

    right: str
    """Such as `orders.view_order`; "" for what everybody reads who sees the customer."""
    moments: Callable[[int, datetime | None, int, May], Iterable[TimelineEntry]]
    """Of this customer, before this time where one is given, the newest so many."""
    totals: Callable[[int, May], Iterable[Total]] = lambda _user_id, _may: ()


_sources: dict[str, TimelineSource] = {}
_IN_ONE_INSTANT = 20
"""More than one action leaves in one instant."""


def add_timeline_source(kind: str, source: TimelineSource) -> None:
    """Add a kind of entry, such as `orders`; of two with one name the later one stays."""
    _sources[kind] = source


def customer_timeline(
    user_id: int, may: May, *, before: datetime | None, most: int
) -> tuple[list[TimelineEntry], datetime | None]:
    """The newest moments of a customer before `before`, the newest first; of each kind that the reader may see.

    About `most`: what happened in one instant is not divided. With them the moment to ask on from, None at the end.
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
    """The figures about a customer that the reader may see."""
    sources = [source for source in _sources.values() if not source.right or may(source.right)]
    return [total for source in sources for total in source.totals(user_id, may)]


def moment_in(text: str) -> datetime | None:
    """The moment that an address names, as `isoformat` writes it; None for anything else."""
    try:
        moment = parse_datetime(text)
        return moment if moment is not None and timezone.is_aware(moment) and 1970 < moment.year < 2200 else None
    except ValueError:
        return None
