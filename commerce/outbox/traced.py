"""Tracing of deliveries and of consumed messages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from commerce.core import tracing
from commerce.outbox.sinks.base import Failure, Message, Outcomes, Sink
from commerce.outbox.sinks.kafka_source import Received


def deliver(sink: Sink, destination: str, messages: Sequence[Message]) -> Outcomes:
    """`sink.deliver` with a span for each message that belongs to a trace; the receiver continues the trace."""
    spans = {
        message.id: tracing.begin(
            f"send {message.type}",
            kind=tracing.PRODUCER,
            parent=message.traceparent,
            attributes={"messaging.destination.name": destination, "messaging.message.id": message.event_id},
        )
        for message in messages
        if message.traceparent
    }
    outcomes: Outcomes = {}
    try:
        outcomes = sink.deliver(
            [
                replace(message, traceparent=tracing.traceparent(spans[message.id])) if message.id in spans else message
                for message in messages
            ]
        )
    finally:
        for message_id, span in spans.items():
            outcome = outcomes.get(message_id)
            tracing.end(span, error=outcome.reason if isinstance(outcome, Failure) else "")
    return outcomes


@contextmanager
def consumed(messages: Sequence[Received], *, group: str) -> Iterator[None]:
    """Spans for the processing of these messages within the block, one for each that belongs to a trace."""
    spans = [
        tracing.begin(
            f"process {message.topic}",
            kind=tracing.CONSUMER,
            parent=parent.decode(errors="replace"),
            attributes={"messaging.destination.name": message.topic, "messaging.consumer.group.name": group},
        )
        for message in messages
        for name, parent in message.headers
        if name == tracing.TRACEPARENT and parent is not None
    ]
    try:
        yield
    finally:
        for span in spans:
            tracing.end(span)
