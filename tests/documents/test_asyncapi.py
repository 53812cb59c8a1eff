"""`docs/asyncapi.yaml` matches the messages in the outbox and their topics."""

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from jsonschema import Draft202012Validator

from balances.models import User
from commerce.event_routes import ROUTES
from commerce.outbox.models import OutboxMessage
from commerce.outbox.sinks import kafka
from coupons.models import Coupon
from tests.documented import schema
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory
from tests.shopper import Shopper

DATA_OF = {
    "balance-changed": "BalanceChanged",
    "coupon-issued": "CouponIssued",
    "order-completed": "Order",
    "order-cancelled": "Order",
    "order-refunded": "MadeRefund",
}

TOPICS = {event: destinations for event, destinations in ROUTES.items() if "kafka" in destinations}
"""The other destinations are not topics."""


@cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((Path(settings.BASE_DIR) / "docs" / "asyncapi.yaml").read_text())
    return read


def payload_of(event_type: str, channel: str) -> list[str]:
    """The names of the schemas of the messages in a channel that are of this type."""
    names = []
    for message in document()["channels"][channel]["messages"].values():
        described = document()["components"]["messages"][message["$ref"].rpartition("/")[2]]
        name = described["payload"]["$ref"].rpartition("/")[2]
        [_envelope, own] = document()["components"]["schemas"][name]["allOf"]
        if own["properties"]["type"]["const"] == event_type:
            names.append(name)
    return names


def faults(event: Any, name: str) -> list[str]:
    """The errors of a message according to the schema."""
    validator = Draft202012Validator({**document(), "$ref": f"#/components/schemas/{name}"})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]


def shop_around(user: User, coupon: Coupon) -> None:
    """Events of every type, with and without optional fields."""
    shopper, pen = Shopper(user), ProductFactory(price=1_000)
    items = [{"productId": pen.pk, "quantity": 2}]
    assert shopper.post("/api/balance/charge", {"amount": 10_000}).status == 200
    held = shopper.post(f"/api/coupons/{coupon.pk}/issue").json
    order = shopper.post("/api/orders", {"items": items, "userCouponId": held["id"]}).json
    second = shopper.post("/api/orders", {"items": items}).json
    assert shopper.post(f"/api/orders/{order['id']}/cancel").status == 200
    refund = {"items": [{"productId": pen.pk, "quantity": 1}], "reason": "Broken.", "restock": False}
    assert Shopper(StaffFactory()).post(f"/api/orders/{second['id']}/refunds", refund).status == 200
    adjusted = {"userId": user.pk, "amount": 1, "reason": "A gift."}
    assert Shopper(StaffFactory()).post("/api/balance/charge", adjusted).status == 200


@pytest.mark.django_db(transaction=True)
def test_real_messages_match_the_document() -> None:
    shop_around(UserFactory(), CouponFactory())
    messages = list(OutboxMessage.objects.all())
    assert {message.type for message in messages} == DATA_OF.keys()
    for message in messages:
        event = json.loads(message.payload)
        channel = message.type if message.destination == "kafka" else message.destination
        [name] = payload_of(message.type, channel)
        assert faults(event, name) == []
        # The schema also contains every field.
        shapes = document()["components"]["schemas"]
        assert event.keys() == shapes["Event"]["properties"].keys()
        assert event["data"].keys() == shapes[DATA_OF[message.type]]["properties"].keys()
        of_items = shapes["RefundedItem" if message.type == "order-refunded" else "OrderItem"]
        for item in event["data"].get("items", []):
            assert item.keys() == of_items["properties"].keys()
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "damage",
    [
        {"id": "1"},
        {"type": "order-completed"},
        {"subject": "product/1"},
        {"data": {}},
        {"specversion": "0.3"},
    ],
)
def test_a_message_of_another_shape_is_detected(damage: dict[str, Any]) -> None:
    assert Shopper(UserFactory()).post("/api/balance/charge", {"amount": 1}).status == 200
    event = json.loads(OutboxMessage.objects.get(type="balance-changed").payload)
    assert faults({**event, **damage}, "BalanceChangedEvent") != []


def test_it_has_a_channel_for_every_topic_and_for_the_data_platform() -> None:
    assert document()["channels"].keys() == {*TOPICS, "data-platform"}
    assert all(document()["channels"][topic]["address"] == topic for topic in TOPICS)
    for event, destinations in TOPICS.items():
        assert payload_of(event, event) != []
        assert (payload_of(event, "data-platform") != []) == ("data-platform" in destinations)


def test_an_order_is_that_of_the_openapi_document() -> None:
    for name in ("Order", "OrderItem", "MadeRefund", "RefundedItem"):
        told, shown = document()["components"]["schemas"][name], schema()["components"]["schemas"][name]
        assert told["properties"].keys() == shown["properties"].keys()
        assert set(told["required"]) == set(shown["required"])
    assert document()["info"]["version"] == schema()["info"]["version"]


def test_it_describes_topics_and_compression() -> None:
    for topic in TOPICS:
        bindings = document()["channels"][topic]["bindings"]["kafka"]
        assert bindings["partitions"] == settings.KAFKA_TOPIC_PARTITIONS
        assert bindings["topicConfiguration"]["retention.ms"] == settings.KAFKA_TOPIC_RETENTION_HOURS * 3_600_000
    used = re.search(r'"compression.type": "(\w+)"', Path(kafka.__file__).read_text())
    assert used is not None
    assert f"compressed with {used[1]}" in document()["components"]["schemas"]["KafkaHeaders"]["description"]
