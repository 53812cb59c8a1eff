"""Emptying the outbox: from rows that wait to messages that arrived.

Owns which message goes first and when a failure is tried again. While it waits for the network it holds no row and no
snapshot, only the lock of its destination (`commerce.outbox.dispatcher_lock`). Never knows how a destination is reached
(`commerce.outbox.sinks`).
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from commerce.core import metrics, sql, tracing
from commerce.outbox import traced
from commerce.outbox.breaker import Breaker
from commerce.outbox.dispatcher_lock import sole_dispatcher
from commerce.outbox.results import Verdict, record
from commerce.outbox.sinks.base import Failure, Message, Outcome, Outcomes, Sink, sink_of

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.5

# By state, never by `id > last`: a lower id may be committed after a higher one.
# BETWEEN, not `=`: with the destination fixed, the primary key would serve ORDER BY id as well, and after an outage the
# planner prefers it and walks through everything ever sent.
DUE = """
    SELECT id, event_id, type, aggregate_id, payload, attempts, traceparent
    FROM outbox_message AS due
    WHERE destination BETWEEN %(destination)s AND %(destination)s
      AND sent_at IS NULL AND parked_at IS NULL AND next_attempt_at <= now()
    ORDER BY destination, id
    LIMIT %(limit)s
"""

# A message that waits for its next attempt holds back the later ones of its key, and nobody else's.
DUE_IN_ORDER = """
    WITH held_back AS MATERIALIZED (
        SELECT aggregate_id, min(id) AS id
        FROM outbox_message
        WHERE destination = %(destination)s AND sent_at IS NULL AND parked_at IS NULL
          AND attempts > 0 AND next_attempt_at > now()
        GROUP BY aggregate_id
    )
    SELECT id, event_id, type, aggregate_id, payload, attempts, traceparent
    FROM outbox_message AS due
    WHERE destination BETWEEN %(destination)s AND %(destination)s
      AND sent_at IS NULL AND parked_at IS NULL AND next_attempt_at <= now()
      AND NOT EXISTS (SELECT FROM held_back WHERE held_back.aggregate_id = due.aggregate_id AND held_back.id < due.id)
    ORDER BY destination, id
    LIMIT %(limit)s
"""

SECONDS_TO_NEXT_ATTEMPT = """
    SELECT count(*), extract(epoch FROM min(next_attempt_at) FILTER (WHERE next_attempt_at > now()) - now())::float8
    FROM outbox_message
    WHERE destination = %s AND sent_at IS NULL AND parked_at IS NULL AND attempts > 0
"""

# Out of the dispatcher's sight for as long as the call may take, so that the message is not sent twice at once.
CLAIM_ONE = """
    UPDATE outbox_message SET next_attempt_at = now() + %s * interval '1 second'
    WHERE event_id = %s AND destination = %s AND sent_at IS NULL AND parked_at IS NULL AND next_attempt_at <= now()
    RETURNING id, event_id, type, aggregate_id, payload, attempts, traceparent
"""


# A claim that led to no call. Where its time ran out meanwhile, a dispatcher's own verdict on the message stands.
GIVE_BACK = """
    UPDATE outbox_message SET next_attempt_at = now()
    WHERE id = %s AND attempts = %s AND sent_at IS NULL AND parked_at IS NULL
"""


@dataclass(frozen=True)
class Drained:
    """What one drain did.

    `elsewhere`: another process is draining the destination, so nothing was tried here.
    """

    sent: int = 0
    failed: int = 0
    elsewhere: bool = False


class Dispatcher:
    """Drains one destination. Any number of them may exist; the database lets one at a time work."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self._times_away = 0
        self._paused_until = 0.0

    @property
    def sink(self) -> Sink:
        return sink_of(self.destination)

    def drain(self, *, stopping: Callable[[], bool] = lambda: False) -> Drained:
        """Deliver batch after batch until nothing is due, the destination is away, or `stopping` says so.

        A batch in hand is always finished. Raises django.db.Error where the database fails; what was sent but not
        marked by then is sent again.
        """
        if connection.in_atomic_block:
            raise RuntimeError("A drain waits for the network, which no transaction may do.")
        if self.pause_seconds() > 0:
            return Drained()
        sent = failed = 0
        with sole_dispatcher(self.destination) as lock:
            if lock is None:
                return Drained(elsewhere=True)
            while not stopping() and lock.is_held() and (batch := self._due()):
                outcomes = self._deliver(batch)
                failed_now = sum(isinstance(outcome, Failure) for outcome in outcomes.values())
                sent += len(outcomes) - failed_now
                failed += failed_now
                if self.pause_seconds() > 0:
                    break
        return Drained(sent, failed)

    def deliver_now(self, event_id: str) -> bool:
        """Deliver one message past the queue, and say whether it is off our hands.

        False leaves it to the next drain: at once, and without a statement, while the destination is left alone.
        Raises django.db.Error where the database fails.
        """
        if self.pause_seconds() > 0:
            return False
        lease_seconds = settings.DATA_PLATFORM_TIMEOUT_SECONDS + FIRST_WAIT_SECONDS
        row = sql.fetch_one(CLAIM_ONE, [lease_seconds, event_id, self.destination])
        if row is None:
            # A dispatcher was quicker, or the message is known to be in trouble.
            return False
        message = _message(row)
        outcomes = self._call([message])
        if not outcomes:
            sql.execute(GIVE_BACK, [message.id, message.attempts])
            return False
        return not isinstance(outcomes[message.id], Failure)

    def pause_seconds(self) -> float:
        """How long the destination is left alone after it was found away. Other processes find out for themselves."""
        breaker = self.sink.breaker
        return max(0.0, self._paused_until - time.monotonic(), breaker.pause_seconds() if breaker else 0.0)

    def anything_due(self) -> bool:
        return sql.fetch_one(DUE, {"destination": self.destination, "limit": 1}) is not None

    def seconds_to_next_attempt(self) -> float | None:
        """When to look after the failed messages again; None where there are none."""
        failed, seconds = sql.fetch_one(SECONDS_TO_NEXT_ATTEMPT, [self.destination]) or (0, None)
        return max(seconds or 0.0, self.pause_seconds()) if failed else None

    def _due(self) -> list[Message]:
        statement = DUE_IN_ORDER if self.sink.keeps_order else DUE
        limit = min(settings.OUTBOX_BATCH_SIZE, self.sink.largest_batch)
        return [_message(row) for row in sql.fetch_all(statement, {"destination": self.destination, "limit": limit})]

    def _deliver(self, batch: Sequence[Message]) -> Outcomes:
        outcomes = self._call(batch)
        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, Failure)]
        if not outcomes:
            # No turn was to be had. The messages are due still, and asking again at once would keep a processor busy.
            self._paused_until = time.monotonic() + backoff_seconds(0, longest_seconds=self.sink.longest_wait_seconds)
        elif any(failure.away for failure in failures) and len(failures) == len(outcomes):
            wait_seconds = backoff_seconds(self._times_away, longest_seconds=self.sink.longest_wait_seconds)
            self._times_away += 1
            self._paused_until = time.monotonic() + wait_seconds
            logger.warning("%s is away, next try in %.1f s: %s", self.destination, wait_seconds, failures[0].reason)
        else:
            self._times_away = 0
        return outcomes

    def _call(self, batch: Sequence[Message]) -> Outcomes:
        """Try as much of the batch as the destination is believed to bear, and record what became of it.

        What was not tried is not in the answer, and stays as it was: no attempt is counted, nothing is put off.
        """
        breaker = self.sink.breaker
        admitted = batch[: breaker.admit(len(batch))] if breaker else batch
        if not admitted:
            return {}
        sink = self.sink
        outcomes = traced.deliver(sink, self.destination, admitted) if tracing.on else sink.deliver(admitted)
        if not outcomes:
            return {}
        if breaker:
            _report(breaker, outcomes)
        record(self.destination, [self._verdict(one, outcomes[one.id]) for one in admitted if one.id in outcomes])
        failed = sum(isinstance(outcome, Failure) for outcome in outcomes.values())
        metrics.OUTBOX_SENT.labels(self.destination).inc(len(outcomes) - failed)
        metrics.OUTBOX_FAILURES.labels(self.destination).inc(failed)
        return outcomes

    def _verdict(self, message: Message, outcome: Outcome) -> Verdict:
        if not isinstance(outcome, Failure):
            return Verdict(message.id, call=outcome.call, note=outcome.note) if outcome else Verdict(message.id)
        tried_enough = self.sink.parks and outcome.parks and message.attempts + 1 >= settings.OUTBOX_MAX_ATTEMPTS
        parked = outcome.refused or tried_enough
        if parked:
            logger.error("%s for %s is parked: %s", message.event_id, self.destination, outcome.reason)
        wait_seconds = backoff_seconds(message.attempts, longest_seconds=self.sink.longest_wait_seconds)
        return Verdict(
            message.id,
            error=outcome.reason,
            wait_seconds=max(wait_seconds, outcome.retry_after_seconds),
            parked=parked,
            call=outcome.call,
        )


def backoff_seconds(failures: int, *, longest_seconds: float) -> float:
    """The wait after `failures` earlier failures: doubling, and spread so that many do not come back at one instant."""
    return min(longest_seconds, FIRST_WAIT_SECONDS * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1.0)  # noqa: S311  # spread, not secrecy


def _report(breaker: Breaker, outcomes: Outcomes) -> None:
    failures = [one for one in outcomes.values() if isinstance(one, Failure) and not one.about_message]
    breaker.report(
        failed=len(failures),
        worked=len(failures) < len(outcomes),
        asked_seconds=max((failure.retry_after_seconds for failure in failures), default=0.0),
    )


def _message(row: tuple[Any, ...]) -> Message:
    message_id, event_id, event_type, key, payload, attempts, traceparent = row
    return Message(message_id, event_id, event_type, key, payload.encode(), attempts, traceparent)
