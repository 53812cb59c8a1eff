"""Delivery of pending outbox messages to a destination: order, retries and backoff.

While it waits for the network it holds no row lock and no snapshot, only the lock of its destination
(`commerce.outbox.dispatcher_lock`). The sinks make the calls (`commerce.outbox.sinks`).
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

# Selected by state, not by `id > last`: a lower id may be committed after a higher one.
# BETWEEN, not `=`: with the destination fixed, the primary key would provide ORDER BY id as well, and after an outage
# the planner would prefer it and scan all sent messages.
DUE = """
    SELECT id, event_id, type, aggregate_id, payload, attempts, traceparent
    FROM outbox_message AS due
    WHERE destination BETWEEN %(destination)s AND %(destination)s
      AND sent_at IS NULL AND parked_at IS NULL AND next_attempt_at <= now()
    ORDER BY destination, id
    LIMIT %(limit)s
"""

# A message that waits for its next attempt holds back later messages with the same key, and no others.
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

# Claims the message: the dispatcher ignores it for as long as the call may take, so it is not sent twice concurrently.
CLAIM_ONE = """
    UPDATE outbox_message SET next_attempt_at = now() + %s * interval '1 second'
    WHERE event_id = %s AND destination = %s AND sent_at IS NULL AND parked_at IS NULL AND next_attempt_at <= now()
    RETURNING id, event_id, type, aggregate_id, payload, attempts, traceparent
"""


# Releases a claim without a call. If the claim has expired meanwhile, the dispatcher's result stands.
GIVE_BACK = """
    UPDATE outbox_message SET next_attempt_at = now()
    WHERE id = %s AND attempts = %s AND sent_at IS NULL AND parked_at IS NULL
"""


@dataclass(frozen=True)
class Drained:
    """The result of one drain.

    `elsewhere`: another process is draining the destination, so nothing was tried here.
    """

    sent: int = 0
    failed: int = 0
    elsewhere: bool = False


class Dispatcher:
    """Drains one destination. Any number may exist; a database lock lets one work at a time."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self._times_unavailable = 0
        self._paused_until = 0.0

    @property
    def sink(self) -> Sink:
        return sink_of(self.destination)

    def drain(self, *, stopping: Callable[[], bool] = lambda: False) -> Drained:
        """Deliver batch by batch until nothing is due, the destination is unavailable, or `stopping` returns true.

        A started batch is always finished. Raises django.db.Error if the database fails; messages that were sent but
        not marked are sent again.
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
        """Deliver one message ahead of the queue; returns whether it is delivered or parked.

        False leaves it to the next drain; while the breaker is open it returns so without a statement. Raises
        django.db.Error if the database fails.
        """
        if self.pause_seconds() > 0:
            return False
        lease_seconds = settings.DATA_PLATFORM_TIMEOUT_SECONDS + FIRST_WAIT_SECONDS
        row = sql.fetch_one(CLAIM_ONE, [lease_seconds, event_id, self.destination])
        if row is None:
            # A dispatcher was faster, or the message has failed before.
            return False
        message = _message(row)
        outcomes = self._call([message])
        if not outcomes:
            sql.execute(GIVE_BACK, [message.id, message.attempts])
            return False
        return not isinstance(outcomes[message.id], Failure)

    def pause_seconds(self) -> float:
        """The remaining seconds of the pause after failures of the destination, as known to this process."""
        breaker = self.sink.breaker
        return max(0.0, self._paused_until - time.monotonic(), breaker.pause_seconds() if breaker else 0.0)

    def anything_due(self) -> bool:
        return sql.fetch_one(DUE, {"destination": self.destination, "limit": 1}) is not None

    def seconds_to_next_attempt(self) -> float | None:
        """Seconds until the next failed message is due; None if there are none."""
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
            # Nothing was tried. The messages are still due, and an immediate retry would busy-loop.
            self._paused_until = time.monotonic() + backoff_seconds(0, longest_seconds=self.sink.longest_wait_seconds)
        elif any(failure.unavailable for failure in failures) and len(failures) == len(outcomes):
            wait_seconds = backoff_seconds(self._times_unavailable, longest_seconds=self.sink.longest_wait_seconds)
            self._times_unavailable += 1
            self._paused_until = time.monotonic() + wait_seconds
            logger.warning(
                "%s is unavailable, next try in %.1f s: %s", self.destination, wait_seconds, failures[0].reason
            )
        else:
            self._times_unavailable = 0
        return outcomes

    def _call(self, batch: Sequence[Message]) -> Outcomes:
        """Try as much of the batch as the breaker admits, and record the results.

        Messages that were not tried are not in the result and stay unchanged: no attempt is counted.
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
    """The wait after `failures` earlier failures: exponential, with jitter."""
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
