"""F15: messages that cannot be counted are among the events in Kafka."""

import json
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Producer
from django.db import IntegrityError
from django.utils import timezone

from commerce.core import sql
from orders.models import Order
from stats import operations, services
from stats.events import ORDER_EVENTS
from stats.services import Counted, Reasons
from tests.faults.deliveries import sells_and_counts
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

_WRITTEN_WITHIN_SECONDS = 10.0
_NO_SUCH_PRODUCT = 9_000_000_000_000
_PARKED = "SELECT reason FROM dead_letter WHERE payload = %s"


class Poison(Fault):
    """Invalid JSON, an unknown type, an unknown product. Each is parked with its reason; all others are counted."""

    number = "F15"
    title = "poison messages in Kafka"
    protection = "an event that does not fit is looked for and left out"
    control_shows = ("order events are not counted", "is not parked")
    gap_seconds = (0.1, 0.3)
    sells_on = True
    slowest_order_seconds = 3.0
    patience_seconds = 5.0

    def __init__(self) -> None:
        self._written: dict[int, dict[bytes, str]] = {}

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f15_poison.all_or_nothing",))

    def strike(self, run: Run) -> str:
        poisons = _poisons(run)
        producer = Producer({"bootstrap.servers": run.servers.kafka.bootstrap_servers, "log_level": 0})
        topic = run.shop.environment["KAFKA_TOPIC_PREFIX"] + run.random.choice(ORDER_EVENTS)
        for payload in poisons:
            producer.produce(topic, payload, key=run.random.choice([None, b"7"]))
        if producer.flush(_WRITTEN_WITHIN_SECONDS):
            raise NotFired("Kafka did not take the poison")
        self._written.setdefault(id(run), {}).update(poisons)
        return f"{len(poisons)} messages written to {topic}"

    def is_well(self, run: Run) -> bool:
        return sells_and_counts(run)

    def judge(self, run: Run) -> list[str]:
        found = []
        for payload, words in self._written.pop(id(run)).items():
            letters = [reason for (reason,) in sql.fetch_all(_PARKED, [payload])]
            if not letters:
                found.append(f"poison {payload[:60]!r} is not parked")
            elif len(letters) > 1 or words not in letters[0]:
                found.append(f"poison {payload[:60]!r} is parked for {letters}, not once for '{words}'")
        return found


def _poisons(run: Run) -> dict[bytes, str]:
    """New invalid messages, each with a part of the reason for which it must be parked."""
    order = Order.objects.filter(status="COMPLETED").latest("id")
    number = run.random.getrandbits(48)
    created_at = timezone.localtime(order.created_at).isoformat()
    unknown = order.pk + number
    event: dict[str, Any] = {
        "id": f"order-completed:{unknown}",
        "type": "order-completed",
        "data": {
            "id": unknown,
            "createdAt": created_at,
            "items": [{"productId": _NO_SUCH_PRODUCT, "quantity": 1}],
        },
    }
    return {
        run.random.randbytes(40): "Not JSON",
        b'{"id": "cut off in the middle ' + str(number).encode(): "Not JSON",
        json.dumps({**event, "type": "order-imagined"}).encode(): "'order-imagined'",
        json.dumps({**event, "data": {**event["data"], "items": []}}).encode(): "an order has 1 to",
        json.dumps(event).encode(): "has no such fact",
    }


def all_or_nothing() -> None:
    """A batch is counted completely or not at all."""

    def give_up(events: Mapping[str, object], unreadable: Reasons, park: object) -> Counted:
        raise IntegrityError("One of the batch does not fit.")

    # The event of an order that is not there then reaches the tables, whose foreign keys refuse it.
    operations.unknown_facts = lambda events: []
    services._count_what_fits = give_up
