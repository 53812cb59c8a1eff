"""Protections taken away, one function each: a variant names them, and its control must then fail.

Owns the weakenings that several faults share; a fault's own stand beside it. Called in the shop's processes only.
"""

import time
from typing import Any

from django.utils import timezone

from commerce.core import sql
from commerce.core.transaction import Transaction
from commerce.idempotency import claims
from commerce.outbox.sinks.base import Message, Outcomes
from commerce.outbox.sinks.kafka import KafkaSink

WRITTEN_LATER_SECONDS = 0.05


def answers_written_later() -> None:
    """The answer of a write is kept after its transaction, not in it: between the two a process can die."""

    def remember(self: Any, unit: Transaction, result: object) -> None:
        if self._claim is None or self._render is None:
            return
        self.answer = self._render(result)
        parameters = self._claim.insert_parameters(self.answer, timezone.now())

        def keep() -> None:
            time.sleep(WRITTEN_LATER_SECONDS)
            sql.execute(claims.INSERT_ANSWER, parameters)

        unit.on_released(keep)

    claims.Once.remember = remember  # type: ignore[method-assign]  # that is the point


def kafka_believed_blindly() -> None:
    """A message counts as sent once it was given to the client, whether or not the broker acknowledged it."""
    deliver = KafkaSink.deliver

    def believe(self: KafkaSink, messages: list[Message]) -> Outcomes:
        deliver(self, messages)
        return {message.id: None for message in messages}

    KafkaSink.deliver = believe  # type: ignore[method-assign,assignment]  # that is the point
