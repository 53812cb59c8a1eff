"""Removes protections, one per function: a variant names them, and its control must then fail.

Contains those that several faults share; others are in the module of the fault. Called in the shop's processes only.
"""

import time
from functools import partial

from commerce.core import sql
from commerce.core.transaction import Transaction
from commerce.idempotency.claims import Answer, Answers, Claim
from commerce.idempotency.commit import Idempotency
from commerce.outbox.sinks.base import Message, Outcomes
from commerce.outbox.sinks.kafka import KafkaSink

WRITTEN_LATER_SECONDS = 0.05


def answers_written_later() -> None:
    """The response of a write is stored after its transaction, not in it: a process can die between the two."""

    def keep_later(self: Idempotency, transaction: Transaction, claim: Claim, answer: Answer) -> None:
        self.answer = answer
        transaction.afterwards(partial(_keep_by_itself, claim, answer))

    Idempotency._keep = keep_later  # type: ignore[method-assign]  # that is the point


def _keep_by_itself(claim: Claim, answer: Answer) -> None:
    time.sleep(WRITTEN_LATER_SECONDS)
    own = Transaction()
    own[Answers].add(claim, answer, own.now)
    for statement in own.writes():
        sql.run(statement)


def kafka_believed_blindly() -> None:
    """A message counts as sent once it was passed to the client, without the broker's acknowledgement."""
    deliver = KafkaSink.deliver

    def believe(self: KafkaSink, messages: list[Message]) -> Outcomes:
        deliver(self, messages)
        return {message.id: None for message in messages}

    KafkaSink.deliver = believe  # type: ignore[method-assign,assignment]  # that is the point
