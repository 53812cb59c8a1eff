"""The events of the large demo shop's last days, as rows of the outbox and of its delivery log.

All messages are delivered, a few of them after failed attempts. Writes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import models

from commerce.outbox.dispatcher import FIRST_WAIT_SECONDS
from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage
from commerce.outbox.publish import Event
from commerce.outbox.routes import DATA_PLATFORM, destinations_of

COLUMNS: Mapping[type[models.Model], Sequence[str]] = {
    OutboxMessage: (
        *("id", "event_id", "type", "aggregate_type", "aggregate_id", "destination", "payload"),
        *("created_at", "attempts", "next_attempt_at", "last_error", "sent_at"),
    ),
    DeliveryAttempt: (
        *("id", "message_id", "destination", "attempted_at", "duration_ms", "http_status", "outcome", "error"),
    ),
}

_IN_TROUBLE_EVERY = 97
_MOST_FAILURES = 3
_FAILURES = (
    (DeliveryOutcome.REFUSED.value, 503, 'HTTP 503: {"error": "maintenance"}'),
    (DeliveryOutcome.NO_ANSWER.value, None, "No answer in time"),
    (DeliveryOutcome.REFUSED.value, 429, 'HTTP 429: {"error": "too many requests"}'),
)


class OutboxRows:
    """Assigns ids to messages and deliveries in the order in which events are added."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._messages = 0
        self._calls = 0

    def add(self, event: Event, tables: Mapping[type[models.Model], list[tuple[Any, ...]]]) -> None:
        """Add to `tables` a delivered message of `event` for each enabled destination."""
        payload = event.as_cloud_event().decode()
        for destination in destinations_of(event.type):
            self._messages += 1
            is_called = destination == DATA_PLATFORM
            failures = _failures(self._messages) if is_called else ()
            at = self._moment(event.occurred_at, 0.01)
            for number, failure in enumerate(failures):
                tables[DeliveryAttempt].append(self._call(destination, at, *failure))
                at = self._moment(at, FIRST_WAIT_SECONDS * 2**number)
            if is_called:
                tables[DeliveryAttempt].append(self._call(destination, at, DeliveryOutcome.ACKNOWLEDGED.value, 200, ""))
            tables[OutboxMessage].append(
                (
                    self._messages,
                    event.id,
                    event.type,
                    event.aggregate_type,
                    str(event.user_id),
                    destination,
                    payload,
                    event.occurred_at,
                    len(failures) + 1,
                    at,
                    failures[-1][2] if failures else "",
                    self._moment(at, self._duration_ms / 1_000),
                )
            )

    @property
    def _duration_ms(self) -> int:
        return 3 + self._messages * 7_919 % 180

    def _moment(self, since: datetime, wait_seconds: float) -> datetime:
        return min(since + timedelta(seconds=wait_seconds), self._now)

    def _call(
        self, destination: str, at: datetime, outcome: str, http_status: int | None, error: str
    ) -> tuple[Any, ...]:
        self._calls += 1
        return self._calls, self._messages, destination, at, self._duration_ms, http_status, outcome, error


def _failures(message_id: int) -> Sequence[tuple[str, int | None, str]]:
    """The failed attempts before the delivery of a message; empty for most messages."""
    if message_id % _IN_TROUBLE_EVERY:
        return ()
    return _FAILURES[: 1 + message_id // _IN_TROUBLE_EVERY % _MOST_FAILURES]
