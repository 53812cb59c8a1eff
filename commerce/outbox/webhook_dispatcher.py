"""Delivery of outbox messages to webhook subscriptions, concurrently, so that a slow one does not delay the others.

It decides which subscription is called next, with how many concurrent calls, and when a failing one is paused or
switched off. The draining thread runs all statements; the calls (`commerce.outbox.sinks.webhooks`) run in threads of
their own without a database connection.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from commerce.core import metrics, sql, tracing
from commerce.outbox import traced
from commerce.outbox.dispatcher import Drained, backoff_seconds
from commerce.outbox.dispatcher_lock import sole_dispatcher
from commerce.outbox.results import Verdict, record
from commerce.outbox.routes import WEBHOOKS
from commerce.outbox.sinks.base import Endpoint, Failure, Message, Outcomes, sink_of

logger = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 100
"""Subscriptions that are not removed; each may use up to `CALLS_AT_ONCE` threads."""
CALLS_AT_ONCE = 4
"""Concurrent calls to one subscription."""
FAILURES_BEFORE_PAUSE = 3
LONGEST_PAUSE_SECONDS = 600.0
"""The maximum time between two calls to a failing subscription."""
MOST_ATTEMPTS_MADE_DUE = 8
"""A message with more failures keeps its own wait after its receiver has recovered: the message may be the cause."""
PARKED_AT_ONCE = 1_000
_PARK_EVERY_SECONDS = 2.0
_LOOK_SECONDS = 0.1
"""Interval of queries for new messages while calls are running."""

# At most one batch for each subscription, the longest waiting first; for a failing one a single message, the probe.
DUE = """
    SELECT subscription.id, url, secret,
           CASE WHEN previous_secret_until > now() THEN previous_secret ELSE '' END,
           failures,
           due.id, event_id, type, aggregate_id, payload, attempts, traceparent, is_last
    FROM webhook_subscription AS subscription
    CROSS JOIN LATERAL (
        SELECT id, event_id, type, aggregate_id, payload, attempts, traceparent,
               coalesce(resent_at, created_at) < now() - %(retry_hours)s * interval '1 hour' AS is_last
        FROM outbox_message AS message
        WHERE message.subscription_id = subscription.id AND sent_at IS NULL AND parked_at IS NULL
          AND next_attempt_at <= now() AND id <> ALL(%(in_hand)s::bigint[])
        ORDER BY next_attempt_at, id
        LIMIT CASE WHEN subscription.failures < %(before_pause)s THEN %(batch)s ELSE 1 END
    ) AS due
    WHERE is_active AND next_call_at <= now() AND subscription.id <> ALL(%(busy)s::bigint[])
    ORDER BY subscription.id, due.id
"""

SECONDS_TO_NEXT_ATTEMPT = """
    SELECT extract(epoch FROM min(greatest(next.at, next_call_at)) - now())::float8
    FROM webhook_subscription AS subscription
    CROSS JOIN LATERAL (
        SELECT min(next_attempt_at) AS at FROM outbox_message AS message
        WHERE message.subscription_id = subscription.id AND sent_at IS NULL AND parked_at IS NULL
    ) AS next
    WHERE is_active AND next.at IS NOT NULL
"""

# Includes messages written by an order while its subscription was being switched off.
PARK = """
    UPDATE outbox_message SET parked_at = now(), last_error = 'The subscription is switched off'
    WHERE id IN (
        SELECT message.id FROM webhook_subscription AS subscription
        JOIN outbox_message AS message ON message.subscription_id = subscription.id
        WHERE NOT is_active AND sent_at IS NULL AND parked_at IS NULL
        LIMIT %(limit)s
    ) AND sent_at IS NULL AND parked_at IS NULL
"""

_ENDS = """(is_gone OR has_failed AND NOT has_worked
               AND coalesce(subscription.failing_since, now()) < now() - %(end_hours)s * interval '1 hour')"""

# Only for the URL that was called: responses of a previous URL say nothing about one that staff have set meanwhile.
NOTE_CALLS = f"""
    UPDATE webhook_subscription AS subscription
    SET failures = CASE WHEN has_worked THEN 0 ELSE failures END + away,
        failing_since = CASE WHEN NOT has_failed THEN NULL WHEN has_worked THEN now()
                             ELSE coalesce(failing_since, now()) END,
        next_call_at = now() + wait_seconds * interval '1 second',
        is_active = NOT {_ENDS},
        ended_at = CASE WHEN {_ENDS} THEN now() END,
        ended_for = CASE WHEN is_gone THEN 'gone' WHEN {_ENDS} THEN 'failing' ELSE '' END
    FROM (SELECT %(id)s::bigint AS id, %(url)s::text AS url, %(has_worked)s::boolean AS has_worked,
                 %(has_failed)s::boolean AS has_failed, %(away)s::integer AS away, %(is_gone)s::boolean AS is_gone,
                 %(wait_seconds)s::float8 AS wait_seconds) AS noted
    WHERE subscription.id = noted.id AND subscription.url = noted.url AND subscription.is_active
    RETURNING subscription.ended_for, subscription.name
"""  # noqa: S608  # our own text

# Messages that wait for their next attempt only because the receiver was unavailable.
MAKE_DUE = """
    UPDATE outbox_message SET next_attempt_at = now()
    WHERE subscription_id = %s AND sent_at IS NULL AND parked_at IS NULL AND next_attempt_at > now() AND attempts < %s
"""


@dataclass(frozen=True)
class Batch:
    """Messages for one subscription, sent over one connection."""

    subscription_id: int
    endpoint: Endpoint
    failures: int
    """The subscription's consecutive failures when the batch was selected."""
    messages: tuple[Message, ...]
    last_tries: frozenset[int]
    """The ids of the messages that are parked if they fail once more."""


class WebhookDispatcher:
    """Drains the messages of all subscriptions. Any number may exist; a database lock lets one work at a time."""

    destination = WEBHOOKS

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[Future[Outcomes], Batch] = {}
        self._done: list[tuple[Batch, Outcomes]] = []
        self._something_ended = threading.Event()
        self._park_at = 0.0

    def drain(self, *, stopping: Callable[[], bool] = lambda: False) -> Drained:
        """Call every subscription with due messages until there are none, or `stopping` returns true.

        While one call takes long, new messages for other subscriptions are delivered; the drain lasts until no call is
        running. Running calls are always finished. Raises django.db.Error if the database fails; messages that were
        delivered but not marked are marked by the next drain, or delivered again by another process.
        """
        if connection.in_atomic_block:
            raise RuntimeError("A drain waits for the network, which no transaction may do.")
        if not self._running and not self._done:
            self._park_if_due()
            if not self.anything_due():
                return Drained()
        sent = failed = 0
        with sole_dispatcher(WEBHOOKS) as lock:
            if lock is None and not self._running and not self._done:
                return Drained(elsewhere=True)
            while True:
                sent_now, failed_now = self._record()
                sent, failed = sent + sent_now, failed + failed_now
                has_begun = lock is not None and not stopping() and lock.is_held() and self._begin()
                if not self._running and not self._done:
                    break
                if not has_begun and not self._done:
                    self._something_ended.wait(_LOOK_SECONDS)
                    self._something_ended.clear()
                self._collect()
                self._park_if_due()
        return Drained(sent, failed)

    def pause_seconds(self) -> float:
        """Always 0: subscriptions are paused individually."""
        return 0.0

    def anything_due(self) -> bool:
        return bool(self._due())

    def seconds_to_next_attempt(self) -> float | None:
        """Seconds until the next waiting message is due; None if there is none."""
        row = sql.fetch_one(SECONDS_TO_NEXT_ATTEMPT)
        return None if row is None or row[0] is None else max(0.0, row[0])

    def _begin(self) -> bool:
        """Start a call for each subscription that has due messages and a free thread."""
        batches = self._due()
        for batch in batches:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST_SUBSCRIPTIONS * CALLS_AT_ONCE, thread_name_prefix="webhook")
            call = self._threads.submit(_deliver, batch)
            self._running[call] = batch
            call.add_done_callback(lambda _call: self._something_ended.set())
        return bool(batches)

    def _due(self) -> list[Batch]:
        calls = Counter(batch.subscription_id for batch in self._running.values())
        probed = {batch.subscription_id for batch in self._running.values() if batch.failures >= FAILURES_BEFORE_PAUSE}
        rows = sql.fetch_all(
            DUE,
            {
                "retry_hours": settings.WEBHOOK_RETRY_HOURS,
                "before_pause": FAILURES_BEFORE_PAUSE,
                "batch": sink_of(WEBHOOKS).largest_batch,
                "in_hand": [message.id for batch in self._in_hand() for message in batch.messages],
                "busy": [number for number, count in calls.items() if count >= CALLS_AT_ONCE or number in probed],
            },
        )
        by_subscription: dict[int, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_subscription.setdefault(row[0], []).append(row)
        return [_batch(found) for found in by_subscription.values()]

    def _in_hand(self) -> list[Batch]:
        return [*self._running.values(), *(batch for batch, _outcomes in self._done)]

    def _collect(self) -> None:
        for call in [call for call in self._running if call.done()]:
            batch = self._running.pop(call)
            try:
                self._done.append((batch, call.result()))
            except Exception:
                # A bug, not the network: the messages stay due, and other subscriptions are unaffected.
                logger.exception("A call to webhook subscription %d broke off", batch.subscription_id)
                self._done.append((batch, {}))

    def _record(self) -> tuple[int, int]:
        """Write the results of finished calls; results that cannot be written are kept for the next attempt."""
        sent = failed = 0
        while self._done:
            batch, outcomes = self._done[0]
            try:
                _write_down(batch, outcomes)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                # A retry would fail again and block the results of other subscriptions.
                logger.exception("The calls of webhook subscription %d cannot be marked", batch.subscription_id)
            self._done.pop(0)
            failed_now = sum(isinstance(outcome, Failure) for outcome in outcomes.values())
            sent, failed = sent + len(outcomes) - failed_now, failed + failed_now
        return sent, failed

    def _park_if_due(self) -> None:
        """Park the messages of subscriptions that are switched off."""
        if time.monotonic() < self._park_at:
            return
        self._park_at = time.monotonic() + _PARK_EVERY_SECONDS
        while sql.execute(PARK, {"limit": PARKED_AT_ONCE}) == PARKED_AT_ONCE:
            pass


def _deliver(batch: Batch) -> Outcomes:
    sink = sink_of(WEBHOOKS)
    return traced.deliver(sink, WEBHOOKS, batch.messages) if tracing.on else sink.deliver(batch.messages)


def _batch(rows: Sequence[tuple[Any, ...]]) -> Batch:
    subscription_id, url, secret, previous_secret, failures = rows[0][:5]
    endpoint = Endpoint(url, (secret, previous_secret) if previous_secret else (secret,))
    messages = tuple(
        Message(message_id, event_id, event_type, key, payload.encode(), attempts, traceparent, endpoint)
        for message_id, event_id, event_type, key, payload, attempts, traceparent, _is_last in (row[5:] for row in rows)
    )
    return Batch(subscription_id, endpoint, failures, messages, frozenset(row[5] for row in rows if row[12]))


def _write_down(batch: Batch, outcomes: Outcomes) -> None:
    if not outcomes:
        return
    verdicts = [_verdict(message, batch, outcomes) for message in batch.messages if message.id in outcomes]
    failures = [outcome for outcome in outcomes.values() if isinstance(outcome, Failure)]
    with transaction.atomic():
        # The subscription before its messages: the lock order of sending again.
        _note_calls(batch, len(outcomes) - len(failures), failures)
        record(WEBHOOKS, verdicts)
    metrics.OUTBOX_SENT.labels(WEBHOOKS).inc(len(outcomes) - len(failures))
    metrics.OUTBOX_FAILURES.labels(WEBHOOKS).inc(len(failures))


def _verdict(message: Message, batch: Batch, outcomes: Outcomes) -> Verdict:
    outcome = outcomes[message.id]
    if not isinstance(outcome, Failure):
        return Verdict(message.id, call=outcome.call if outcome else None)
    wait_seconds = backoff_seconds(message.attempts, longest_seconds=sink_of(WEBHOOKS).longest_wait_seconds)
    return Verdict(
        message.id,
        error=outcome.reason,
        wait_seconds=max(wait_seconds, outcome.retry_after_seconds),
        parked=message.id in batch.last_tries,
        call=outcome.call,
    )


def _note_calls(batch: Batch, worked: int, failures: Sequence[Failure]) -> None:
    away = sum(not failure.about_message for failure in failures)
    in_a_row = (0 if worked else batch.failures) + away
    wait_seconds = max((failure.retry_after_seconds for failure in failures), default=0.0)
    if away and in_a_row >= FAILURES_BEFORE_PAUSE:
        pause = backoff_seconds(in_a_row - FAILURES_BEFORE_PAUSE, longest_seconds=LONGEST_PAUSE_SECONDS)
        wait_seconds = max(wait_seconds, pause)
    row = sql.fetch_one(
        NOTE_CALLS,
        {
            "id": batch.subscription_id,
            "url": batch.endpoint.url,
            "has_worked": worked > 0,
            "has_failed": bool(failures),
            "away": away,
            "is_gone": any(failure.gone for failure in failures),
            "wait_seconds": wait_seconds,
            "end_hours": settings.WEBHOOK_END_HOURS,
        },
    )
    if row is not None and row[0]:
        logger.error("Webhook subscription %d (%s) is switched off: %s", batch.subscription_id, row[1], row[0])
    if worked and batch.failures >= FAILURES_BEFORE_PAUSE:
        sql.execute(MAKE_DUE, [batch.subscription_id, MOST_ATTEMPTS_MADE_DUE])
