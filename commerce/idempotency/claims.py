"""Has this request been done? One answer per caller and key; the first one written wins.

Owns the record and its 24 hours; never knows what the request was about. There is no "started" mark to clean up: an
answer is inserted together with its effect, and the unique index undoes whichever attempt comes second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from commerce.core import sql
from commerce.core.locks import request_lock
from commerce.core.transaction import Transaction
from commerce.idempotency.errors import IdempotencyKeyReused

ONE_ANSWER_PER_KEY = "idempotency_key_one_per_caller"

INSERT_ANSWER = """
    INSERT INTO idempotency_key (caller_id, key, fingerprint, status, content_type, body, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True)
class Answer:
    """What the caller was told, byte for byte."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Claim:
    """A caller's word that requests with this key are one request."""

    caller_id: int
    key: str
    fingerprint: bytes
    """SHA-256 of method, path and body."""

    @property
    def lock(self) -> str:
        """Requests with the same key wait for each other, so that the second finds the first one's answer."""
        return request_lock(self.caller_id, self.key)

    def insert_parameters(self, answer: Answer, now: datetime) -> tuple[Any, ...]:
        return (
            self.caller_id,
            self.key,
            self.fingerprint,
            answer.status,
            answer.content_type,
            answer.body,
            now,
        )


class Once:
    """How a use case happens once for its caller's key; without a claim it simply happens.

    `locks` belong to the locks of the use case, and `remember(unit, result)` is its last step inside the transaction.
    """

    def __init__(self, claim: Claim | None = None, render: Callable[[Any], Answer] | None = None) -> None:
        self._claim = claim
        self._render = render
        self.answer: Answer | None = None

    @property
    def locks(self) -> tuple[str, ...]:
        return (self._claim.lock,) if self._claim else ()

    def remember(self, unit: Transaction, result: object) -> None:
        if self._claim is None or self._render is None:
            return
        self.answer = self._render(result)
        unit.append(INSERT_ANSWER, self._claim.insert_parameters(self.answer, timezone.now()))


def earlier_answer(claim: Claim) -> Answer | None:
    """The answer given under this key within the last `IDEMPOTENCY_HOURS`.

    Raises IdempotencyKeyReused when it was given to another request.
    """
    row = sql.fetch_one(
        "SELECT fingerprint, status, content_type, body, created_at FROM idempotency_key"
        " WHERE caller_id = %s AND key = %s",
        [claim.caller_id, claim.key],
    )
    if row is None or row[4] <= oldest_kept(timezone.now()):
        return None
    fingerprint, status, content_type, body, _ = row
    if bytes(fingerprint) != claim.fingerprint:
        raise IdempotencyKeyReused
    return Answer(status, content_type, bytes(body))


def forget_expired(claim: Claim) -> None:
    """Make room for a key whose 24 hours are over."""
    sql.execute(
        "DELETE FROM idempotency_key WHERE caller_id = %s AND key = %s AND created_at <= %s",
        [claim.caller_id, claim.key, oldest_kept(timezone.now())],
    )


def remember_refusal(claim: Claim, answer: Answer) -> Answer:
    """Keep a refusal for replays and return the answer that stands: this one, or an earlier one.

    The refused attempt is rolled back, so a twin of it may have been answered in between; then that answer is the one.
    """
    insert = f"{INSERT_ANSWER} ON CONFLICT ON CONSTRAINT {ONE_ANSWER_PER_KEY} DO NOTHING"
    if sql.execute(insert, claim.insert_parameters(answer, timezone.now())):
        return answer
    earlier = earlier_answer(claim)
    if earlier is None:
        forget_expired(claim)
        return remember_refusal(claim, answer)
    return earlier


def oldest_kept(now: datetime) -> datetime:
    """An answer from this moment or before is none any more."""
    return now - timedelta(hours=settings.IDEMPOTENCY_HOURS)
