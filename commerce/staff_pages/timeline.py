"""What happened to a customer, told by every app that knows something of it, in one line of time.

Owns the shape of an entry and the merge. An app registers a `Teller` for its kind of entry from its own pages
(`tells_of_customers`); a new kind is one more of them.
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
class Moment:
    """Something that happened, and the page that has all about it."""

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
class Teller:
    """One kind of entry: who may read it, and what there is of one customer."""

    right: str
    """Such as `orders.view_order`; "" for what everybody reads who sees the customer."""
    moments: Callable[[int, datetime | None, int, May], Iterable[Moment]]
    """Of this customer, before this time where one is given, the newest so many."""
    totals: Callable[[int, May], Iterable[Total]] = lambda _user_id, _may: ()


_tellers: dict[str, Teller] = {}
_IN_ONE_INSTANT = 20
"""More than one action leaves in one instant."""


def tells_of_customers(kind: str, teller: Teller) -> None:
    """Add a kind of entry, such as `orders`; of two with one name the later one stays."""
    _tellers[kind] = teller


def told_of(user_id: int, may: May, *, before: datetime | None, most: int) -> tuple[list[Moment], datetime | None]:
    """The newest moments of a customer before `before`, the newest first; of each kind that the reader may see.

    About `most`: what happened in one instant is not divided. With them the moment to ask on from, None at the end.
    """
    asked = most + _IN_ONE_INSTANT
    moments = [
        moment
        for teller in _tellers.values()
        if not teller.right or may(teller.right)
        for moment in teller.moments(user_id, before, asked, may)
    ]
    moments.sort(key=lambda moment: moment.at, reverse=True)
    end = most
    while end < min(len(moments), asked) and moments[end].at == moments[end - 1].at:
        end += 1
    return moments[:end], moments[end - 1].at if len(moments) > end else None


def totals_of(user_id: int, may: May) -> list[Total]:
    """The figures about a customer that the reader may see."""
    tellers = [teller for teller in _tellers.values() if not teller.right or may(teller.right)]
    return [total for teller in tellers for total in teller.totals(user_id, may)]


def moment_in(text: str) -> datetime | None:
    """The moment that an address names, as `isoformat` writes it; None for anything else."""
    try:
        moment = parse_datetime(text)
        return moment if moment is not None and timezone.is_aware(moment) and 1970 < moment.year < 2200 else None
    except ValueError:
        return None
