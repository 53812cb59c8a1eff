"""The history of requests and responses, as in Jepsen: recorded before sending, completed by the response.

Contains the three outcomes. Does not check whether a response was correct.
"""

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

READ = "read"
WRITES = ("charge", "issue", "order", "cancel", "refund")
_NOT_KEPT = {(503, "lock_timeout"), (429, "throttled"), (422, "idempotency_key_reused")}
"""Responses that guarantee that nothing was changed, and that are not stored for the key."""
_NO_WORD = {(409, "request_in_progress")}
"""A first request with the key is still running, so the outcome is unknown."""


class Outcome(StrEnum):
    """What a client can conclude."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass
class Call:
    """One request.

    Attributes:
        kind: `charge`, `issue`, `order`, `cancel`, `refund` or `read`.
        never_sent: the connection was refused, so the request cannot have been executed.
        sent_at, answered_at: monotonic seconds; the latter also where the connection was cut.
        status: None where no whole answer came; `trouble` says why.
        from_port: the client's end of its connection.
    """

    number: int
    client: str
    kind: str
    user_id: int
    method: str
    path: str
    body: Any
    key: str | None
    sent_at: float
    answered_at: float | None = None
    status: int | None = None
    content_type: str = ""
    content: bytes = b""
    replayed: bool = False
    retry_after: str | None = None
    request_id: str = ""
    trouble: str = ""
    never_sent: bool = False
    from_port: int = 0

    @property
    def outcome(self) -> Outcome:
        if self.never_sent:
            return Outcome.REFUSED
        if self.status is None or (self.status, self.code) in _NO_WORD:
            return Outcome.UNKNOWN
        if 200 <= self.status < 300:
            return Outcome.ACKNOWLEDGED
        if self.status < 500 or (self.status, self.code) in _NOT_KEPT:
            return Outcome.REFUSED
        return Outcome.UNKNOWN

    @property
    def failed(self) -> bool:
        """Whether the shop was unavailable for this client: no complete response, or none with a known outcome."""
        return self.status is None or self.outcome is Outcome.UNKNOWN

    @property
    def is_final(self) -> bool:
        """Whether every later response to the same key must be equal, byte for byte."""
        return self.outcome is not Outcome.UNKNOWN and not self.never_sent and (self.status, self.code) not in _NOT_KEPT

    @property
    def code(self) -> str | None:
        """The code of a problem response, or None."""
        if self.status is None or self.status < 400:
            return None
        try:
            return str(json.loads(self.content)["code"])
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def seconds(self) -> float:
        """How long the client waited."""
        return (self.answered_at or time.monotonic()) - self.sent_at

    @property
    def is_write(self) -> bool:
        return self.kind in WRITES

    def __str__(self) -> str:
        answer = f"{self.status} {self.code or ''}".strip() if self.status else self.trouble or "no answer"
        return f"call {self.number} ({self.kind} by user {self.user_id}, key {self.key}, told: {answer})"


class History:
    """All calls of one run, in the order in which they were sent."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._calls: list[Call] = []

    def begin(
        self, *, client: str, kind: str, user_id: int, method: str, path: str, body: Any, key: str | None
    ) -> Call:
        """Record a request before it is sent."""
        with self._guard:
            call = Call(len(self._calls) + 1, client, kind, user_id, method, path, body, key, sent_at=time.monotonic())
            self._calls.append(call)
            return call

    @staticmethod
    def now() -> float:
        """The clock of the history: monotonic seconds."""
        return time.monotonic()

    @property
    def calls(self) -> Sequence[Call]:
        with self._guard:
            return list(self._calls)

    def write(self, path: Path) -> None:
        """Write the history as JSON lines, for debugging."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            for call in self.calls:
                line = {**asdict(call), "content": call.content.decode(errors="replace"), "outcome": call.outcome}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def count(calls: Iterable[Call]) -> dict[Outcome, int]:
    """How many of the calls had each outcome."""
    counted = dict.fromkeys(Outcome, 0)
    for call in calls:
        counted[call.outcome] += 1
    return counted


def unresolved(calls: Sequence[Call]) -> list[Call]:
    """The first call of every key of a write whose outcome is unknown to the client, in order."""
    decided = {(call.user_id, call.key) for call in calls if call.is_final}
    first: dict[tuple[int, str | None], Call] = {}
    for call in calls:
        key = (call.user_id, call.key)
        if call.is_write and call.outcome is Outcome.UNKNOWN and key not in decided:
            first.setdefault(key, call)
    return list(first.values())
