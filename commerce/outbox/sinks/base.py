"""What a sink is given and what it says about each message.

Owns the vocabulary between dispatcher and sinks; never knows a particular destination.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import ClassVar, Protocol, TypeAlias

from django.conf import settings
from django.utils.module_loading import import_string

from commerce.outbox.breaker import Breaker


@dataclass(frozen=True)
class Endpoint:
    """Where a subscription wants its events, and the secrets that its calls are signed with, the newest first."""

    url: str
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """One outbox row on its way out."""

    id: int
    event_id: str
    """The same for every send, so that receivers can drop repeats."""
    type: str
    key: str
    """Messages with one key keep their order."""
    payload: bytes
    """The CloudEvent as it is sent."""
    attempts: int
    """How often it was tried before."""
    traceparent: str | None = None
    """The span that it belongs to; None: it belongs to no trace."""
    endpoint: Endpoint | None = None
    """Of a message to a subscription."""


@dataclass(frozen=True)
class Call:
    """One call to a destination, as the delivery log keeps it."""

    started_at: datetime
    duration_ms: int
    http_status: int | None = None
    """None where no whole answer came."""


@dataclass(frozen=True)
class Acknowledged:
    """The destination has the message, and this is how it got it."""

    call: Call
    note: str = ""
    """What the delivery log says besides, such as why there was nothing to send."""


@dataclass(frozen=True)
class Failure:
    """Why one message was not acknowledged. It may have arrived all the same: an answer that never came is not a no."""

    reason: str
    refused: bool = False
    """The message itself is not acceptable; sending it again would change nothing."""
    away: bool = False
    """The destination as a whole does not answer; other messages would fare no better."""
    retry_after_seconds: float = 0.0
    """How long the destination asked to be left alone."""
    about_message: bool = False
    """The destination works: it read the message and has something against this one only."""
    gone: bool = False
    """The destination said that it wants nothing any more."""
    parks: bool = True
    """Whether the message is parked once it failed so often; not for a failure that all messages have in common."""
    call: Call | None = None
    """None where the message never left, and with destinations whose calls are not logged."""


Outcome: TypeAlias = Acknowledged | Failure | None
"""None: acknowledged, by a destination whose calls are not logged."""

Outcomes = Mapping[int, Outcome]
"""By message id. A message without an entry was not tried."""


class Sink(Protocol):
    """One destination. Called by one dispatcher at a time in the whole shop, and by requests in sync mode."""

    keeps_order: ClassVar[bool]
    """Whether messages of one key must arrive in order: a message that failed then holds back the later ones."""
    parks: ClassVar[bool]
    """Whether a message is given up to staff after OUTBOX_MAX_ATTEMPTS failures."""
    largest_batch: ClassVar[int]
    """How many messages it takes at once, at most."""
    longest_wait_seconds: ClassVar[float]
    """How far the waits between tries may grow."""
    breaker: Breaker | None
    """What spares a destination that fails and fails; None: it may always be called."""

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """Send all, wait for the answers within the sink's own deadline, and say what became of each.

        Never raises for what the network or the destination does.
        """
        ...


@cache
def sink_of(destination: str) -> Sink:
    """The sink behind a destination, one per process. Raises KeyError for an unknown destination."""
    sink_class = import_string(_sinks()[destination])
    sink: Sink = sink_class()
    return sink


def known_destinations() -> list[str]:
    """Every destination that has a sink, switched on or not, in the order of the table."""
    return list(_sinks())


def _sinks() -> Mapping[str, str]:
    sinks: Mapping[str, str] = import_string(settings.EVENT_SINKS)
    return sinks
