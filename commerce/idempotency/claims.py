"""Stored responses: one per caller and key. The first committed one wins.

They are kept for 24 hours. There is no "started" marker that would need a cleanup: a response is inserted in the
transaction of its effect, and a unique index rolls back the second attempt.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from commerce.core import sql
from commerce.core.locks import request_lock
from commerce.core.pipeline import Rows, Statement
from commerce.core.transaction import Table, as_json
from commerce.idempotency.errors import IdempotencyKeyReused

ONE_ANSWER_PER_KEY = "idempotency_key_one_per_caller"


@dataclass(frozen=True)
class Answer:
    """The response that the caller got, byte for byte."""

    status: int
    content_type: str
    body: bytes
    language: str = ""
    """The language of a problem; empty for responses without translated text."""


@dataclass(frozen=True)
class Claim:
    """The caller's key and the request that it stands for."""

    caller_id: int
    key: str
    fingerprint: bytes
    """SHA-256 of method, path and body."""

    @property
    def lock(self) -> str:
        """The lock on which requests with the same key wait, so that the second one finds the response of the first."""
        return request_lock(self.caller_id, self.key)


class AlreadyAnswered(Exception):
    """The request has been answered already; has the stored response."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class Answers(Table):
    """The stored responses that a transaction reads and adds."""

    READ = """
        SELECT caller_id, key, fingerprint, status, content_type, body, language, created_at
        FROM idempotency_key JOIN jsonb_to_recordset(%s::jsonb) AS asked (caller_id bigint, key text)
            USING (caller_id, key)
    """
    FORGET = """
        DELETE FROM idempotency_key USING jsonb_to_recordset(%s::jsonb) AS expired (caller_id bigint, key text)
        WHERE idempotency_key.caller_id = expired.caller_id AND idempotency_key.key = expired.key
    """
    INSERT = """
        INSERT INTO idempotency_key (caller_id, key, fingerprint, status, content_type, body, language, created_at)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            caller_id bigint, key text, fingerprint bytea, status smallint, content_type text, body bytea,
            language text, created_at timestamptz
        )
    """

    def __init__(self) -> None:
        self._asked: list[dict[str, Any]] = []
        self._expired: list[dict[str, Any]] = []
        self._known: dict[tuple[int, str], tuple[bytes, Answer]] = {}
        self._given: list[dict[str, Any]] = []

    def ask(self, claim: Claim) -> None:
        """Look up the response for this key."""
        self._asked.append({"caller_id": claim.caller_id, "key": claim.key})

    def require_unanswered(self, claim: Claim) -> None:
        """Raise AlreadyAnswered, or IdempotencyKeyReused if the key was used for another request."""
        known = self._known.get((claim.caller_id, claim.key))
        if known is None:
            return
        fingerprint, answer = known
        if fingerprint != claim.fingerprint:
            raise IdempotencyKeyReused
        raise AlreadyAnswered(answer)

    def add(self, claim: Claim, answer: Answer, now: datetime) -> None:
        """Store the response. This is the last step of a write and is never undone alone."""
        self._known[claim.caller_id, claim.key] = (claim.fingerprint, answer)
        self._given.append(
            {
                "caller_id": claim.caller_id,
                "key": claim.key,
                "fingerprint": claim.fingerprint,
                "status": answer.status,
                "content_type": answer.content_type,
                "body": answer.body,
                "language": answer.language,
                "created_at": now,
            }
        )

    def read(self) -> Statement | None:
        return Statement(self.READ, (as_json(self._asked),)) if self._asked else None

    def accept(self, rows: Rows) -> None:
        oldest = oldest_kept(timezone.now())
        for caller_id, key, fingerprint, status, content_type, body, language, created_at in rows:
            if created_at <= oldest:
                self._expired.append({"caller_id": caller_id, "key": key})
            else:
                answer = Answer(status, content_type, bytes(body), language)
                self._known[caller_id, key] = (bytes(fingerprint), answer)

    def clear(self) -> Statement | None:
        return Statement(self.FORGET, (as_json(self._expired),)) if self._expired else None

    def write(self) -> tuple[str, bytes] | None:
        return (self.INSERT, as_json(self._given)) if self._given else None


def earlier_answer(claim: Claim) -> Answer | None:
    """The response that was stored for this key within the last `IDEMPOTENCY_HOURS`.

    Raises IdempotencyKeyReused if it belongs to another request.
    """
    row = sql.fetch_one(
        "SELECT fingerprint, status, content_type, body, language, created_at FROM idempotency_key"
        " WHERE caller_id = %s AND key = %s",
        [claim.caller_id, claim.key],
    )
    if row is None:
        return None
    fingerprint, status, content_type, body, language, created_at = row
    if created_at <= oldest_kept(timezone.now()):
        return None
    if bytes(fingerprint) != claim.fingerprint:
        raise IdempotencyKeyReused
    return Answer(status, content_type, bytes(body), language)


def forget_expired(claim: Claim) -> None:
    """Delete the response of a key whose 24 hours are over."""
    sql.execute(
        "DELETE FROM idempotency_key WHERE caller_id = %s AND key = %s AND created_at <= %s",
        [claim.caller_id, claim.key, oldest_kept(timezone.now())],
    )


def oldest_kept(now: datetime) -> datetime:
    """Responses from this time or earlier have expired."""
    return now - timedelta(hours=settings.IDEMPOTENCY_HOURS)
