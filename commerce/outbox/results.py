"""The statement that records the results of a batch: messages sent, due again or parked, and the delivery log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from commerce.core import sql
from commerce.outbox.models import DeliveryOutcome
from commerce.outbox.sinks.base import Call

_LONGEST_ERROR = 1_000

MARK_SENT = "UPDATE outbox_message SET sent_at = now(), attempts = attempts + 1 WHERE id = ANY(%(sent)s::bigint[])"

MARK_FAILED = """
    UPDATE outbox_message AS message
    SET attempts = message.attempts + 1,
        last_error = failed.error,
        next_attempt_at = now() + failed.wait_seconds * interval '1 second',
        parked_at = CASE WHEN failed.parked THEN now() ELSE message.parked_at END
    FROM unnest(%(failed)s::bigint[], %(errors)s::text[], %(waits_seconds)s::float8[], %(parked)s::boolean[])
        AS failed (id, error, wait_seconds, parked)
    WHERE message.id = failed.id AND message.sent_at IS NULL
"""

LOG_CALLS = """
    INSERT INTO delivery_attempt
        (message_id, destination, subscription_id, attempted_at, duration_ms, http_status, outcome, error)
    SELECT message_id, %(destination)s, subscription_id, attempted_at, duration_ms, http_status, outcome, error
    FROM unnest(%(called)s::bigint[], %(attempted_at)s::timestamptz[], %(duration_ms)s::integer[],
                %(http_status)s::smallint[], %(outcomes)s::text[], %(call_errors)s::text[])
        AS call (message_id, attempted_at, duration_ms, http_status, outcome, error)
    JOIN outbox_message ON outbox_message.id = message_id
"""

# The log is written in the same statement, and so in the same transaction, as the new states.
MARK_AND_LOG = f"WITH sent AS ({MARK_SENT}), failed AS ({MARK_FAILED}) {LOG_CALLS}"  # our own text


@dataclass(frozen=True)
class Verdict:
    """The new state of a message that was tried. `error` None: acknowledged."""

    message_id: int
    error: str | None = None
    wait_seconds: float = 0.0
    parked: bool = False
    call: Call | None = None
    note: str = ""
    """A remark for the delivery log."""


def record(destination: str, verdicts: Sequence[Verdict]) -> None:
    """Write all verdicts. Raises django.db.Error if the database fails; nothing is written then."""
    failed = [verdict for verdict in verdicts if verdict.error is not None]
    marks = {
        "sent": [verdict.message_id for verdict in verdicts if verdict.error is None],
        "failed": [verdict.message_id for verdict in failed],
        "errors": [_text(verdict) for verdict in failed],
        "waits_seconds": [verdict.wait_seconds for verdict in failed],
        "parked": [verdict.parked for verdict in failed],
    }
    calls = [(verdict, verdict.call) for verdict in verdicts if verdict.call is not None]
    if calls:
        sql.execute(MARK_AND_LOG, marks | {"destination": destination} | _log(calls))
        return
    if marks["sent"]:
        sql.execute(MARK_SENT, marks)
    if failed:
        sql.execute(MARK_FAILED, marks)


def _log(calls: Sequence[tuple[Verdict, Call]]) -> dict[str, list[Any]]:
    return {
        "called": [verdict.message_id for verdict, _ in calls],
        "attempted_at": [call.started_at for _, call in calls],
        "duration_ms": [call.duration_ms for _, call in calls],
        "http_status": [call.http_status for _, call in calls],
        "outcomes": [_outcome(verdict, call).value for verdict, call in calls],
        "call_errors": [_text(verdict) for verdict, _ in calls],
    }


def _outcome(verdict: Verdict, call: Call) -> DeliveryOutcome:
    if verdict.error is None:
        return DeliveryOutcome.ACKNOWLEDGED
    return DeliveryOutcome.NO_ANSWER if call.http_status is None else DeliveryOutcome.REFUSED


def _text(verdict: Verdict) -> str:
    # PostgreSQL's text type cannot store NUL.
    return (verdict.error or verdict.note).replace("\0", "")[:_LONGEST_ERROR]
