"""The interface between dispatcher and sinks: messages, outcomes, and the base class of sinks."""

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
    """The URL of a subscription, and the secrets that sign its calls, newest first."""

    url: str
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """One outbox row to send."""

    id: int
    event_id: str
    """The same for every delivery, so that receivers can drop duplicates."""
    type: str
    key: str
    """Messages with the same key keep their order."""
    payload: bytes
    """The CloudEvent as JSON bytes."""
    attempts: int
    """Number of earlier attempts."""
    traceparent: str | None = None
    """The W3C trace context of its span; None: no trace."""
    endpoint: Endpoint | None = None
    """Set for messages to a subscription."""


@dataclass(frozen=True)
class Call:
    """One call to a destination, as stored in the delivery log."""

    started_at: datetime
    duration_ms: int
    http_status: int | None = None
    """None if no complete response was received."""


@dataclass(frozen=True)
class Acknowledged:
    """The destination has accepted the message."""

    call: Call
    note: str = ""
    """A remark for the delivery log, such as why there was nothing to send."""


@dataclass(frozen=True)
class Failure:
    """Why a message was not acknowledged. It may have arrived nevertheless, if only the response was lost."""

    reason: str
    refused: bool = False
    """The destination refuses this message permanently; sending it again is pointless."""
    unavailable: bool = False
    """The destination is unavailable; other messages would fail as well."""
    retry_after_seconds: float = 0.0
    """The pause that the destination asked for."""
    about_message: bool = False
    """The destination works and has refused only this message."""
    gone: bool = False
    """The destination does not want any further messages (HTTP 410)."""
    parks: bool = True
    """Whether the message is parked after too many failures; false for a failure common to all messages."""
    call: Call | None = None
    """None if the message was not sent, and for destinations whose calls are not logged."""


Outcome: TypeAlias = Acknowledged | Failure | None
"""None: acknowledged, by a destination whose calls are not logged."""

Outcomes = Mapping[int, Outcome]
"""By message id. A message without an entry was not tried."""


class Sink(Protocol):
    """One destination. Called by one dispatcher at a time across all processes, and by requests in sync mode."""

    keeps_order: ClassVar[bool]
    """Whether messages with the same key must arrive in order: a failed message then holds back later ones."""
    parks: ClassVar[bool]
    """Whether a message is parked for staff after OUTBOX_MAX_ATTEMPTS failures."""
    largest_batch: ClassVar[int]
    """The maximum number of messages in one call of `deliver`."""
    longest_wait_seconds: ClassVar[float]
    """The maximum wait between attempts."""
    breaker: Breaker | None
    """The circuit breaker; None: the destination may always be called."""

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """Send all messages, wait for the responses until the sink's deadline, and return the outcomes.

        Never raises for errors of the network or the destination.
        """
        ...


@cache
def sink_of(destination: str) -> Sink:
    """The sink of a destination, one per process. Raises KeyError for an unknown destination."""
    sink_class = import_string(_sinks()[destination])
    sink: Sink = sink_class()
    return sink


def known_destinations() -> list[str]:
    """All destinations that have a sink, switched on or not, in the order of the table."""
    return list(_sinks())


def _sinks() -> Mapping[str, str]:
    sinks: Mapping[str, str] = import_string(settings.EVENT_SINKS)
    return sinks
