"""The events in Kafka compared with the database: every fact once, in order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from balances.models import LedgerEntry, User
from commerce.outbox.publish import event_id
from coupons.models import UserCoupon
from orders.models import Order
from tests.factories import CouponFactory, ProductFactory, UserFactory
from tests.kafka.reader import Record, read_topic
from tests.outbox.conftest import waiting
from tests.outbox.manage import managed
from tests.shopper import Shopper
from tests.together import together, wait_until

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("topics")]

SHOPPERS = 6
ROUNDS = 5
ENVELOPE = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
Sent = dict[str, list[tuple[Record, dict[str, Any]]]]


def shop_a_while(shopper: Shopper, coupon_id: int, products: Sequence[int]) -> None:
    """Requests of one customer: charge, issue, order with and without the coupon, cancel."""
    issued = shopper.post(f"/api/coupons/{coupon_id}/issue")
    assert issued.status == 200
    body: dict[str, Any] = {"userCouponId": issued.json["id"]}
    for number in range(ROUNDS):
        assert shopper.post("/api/balance/charge", {"amount": 10_000 + number}).status == 200
        items = [{"productId": product_id, "quantity": 1 + number % 2} for product_id in products]
        placed = shopper.post("/api/orders", {"items": items, **body})
        assert placed.status == 200
        body = {}
        if number % 2:
            assert shopper.post(f"/api/orders/{placed.json['id']}/cancel").status == 200


@pytest.fixture
def sent(cluster: str, settings: Settings) -> Sent:
    """The messages of each topic after concurrent requests of several customers, delivered by a relay."""
    users = [UserFactory() for _ in range(SHOPPERS)]
    coupon = CouponFactory(total_quantity=SHOPPERS, discount_value=500)
    products = [ProductFactory(price=price, stock=1_000).pk for price in (1_000, 2_500)]

    def shopping(user: User) -> Callable[[], None]:
        return lambda: shop_a_while(Shopper(user), coupon.pk, products)

    with managed("relay_outbox", environment={"DATA_PLATFORM_URL": ""}) as relay:
        together([shopping(user) for user in users])
        wait_until(lambda: not waiting("kafka"), "every event to leave")
        assert relay.stop() == 0
    return {
        event: [
            (record, json.loads(record.value))
            for record in read_topic(cluster, f"{settings.KAFKA_TOPIC_PREFIX}{event}")
        ]
        for event in ("balance-changed", "coupon-issued", "order-completed", "order-cancelled")
    }


def test_every_event_has_the_documented_envelope_key_and_header(sent: Sent) -> None:
    subjects = {
        "balance-changed": ("ledger-entry", "transactionId"),
        "coupon-issued": ("user-coupon", "userCouponId"),
        "order-completed": ("order", "id"),
        "order-cancelled": ("order", "id"),
    }
    for event_type, events in sent.items():
        aggregate, identifier = subjects[event_type]
        for record, event in events:
            data = event["data"]
            assert set(event) == ENVELOPE
            assert event["specversion"] == "1.0"
            assert event["id"] == event_id(event_type, data[identifier], datetime.fromisoformat(event["time"]))
            assert event["source"] == "/commerce"
            assert event["type"] == event_type
            assert event["subject"] == f"{aggregate}/{data[identifier]}"
            assert event["datacontenttype"] == "application/json"
            assert datetime.fromisoformat(event["time"]).utcoffset() is not None
            assert record.key == str(data["userId"]).encode()
            assert record.headers == [("content-type", b"application/cloudevents+json")]


def test_every_ledger_entry_is_published_once_in_its_users_order(sent: Sent) -> None:
    ledger = {
        entry.pk: {
            "userId": entry.user_id,
            "transactionId": entry.pk,
            "type": entry.type,
            "amount": entry.amount,
            "balanceAfter": entry.balance_after,
            "orderId": entry.order_id,
        }
        for entry in LedgerEntry.objects.all()
    }
    events = [event["data"] for _, event in sent["balance-changed"]]
    # Five charges, five payments and two refunds each.
    assert len(events) == SHOPPERS * (2 * ROUNDS + ROUNDS // 2) == len(ledger)
    assert {data["transactionId"]: data for data in events} == ledger
    assert_in_order(sent["balance-changed"], "transactionId")
    # They are in order if each balance follows from the previous one.
    for user in User.objects.all():
        balance = 0
        for data in (data for data in events if data["userId"] == user.pk):
            balance += data["amount"]
            assert data["balanceAfter"] == balance
        assert balance == user.balance


def test_every_order_and_cancellation_is_published_once(sent: Sent) -> None:
    orders = {order.pk: order for order in Order.objects.prefetch_related("items")}
    completed = [event["data"] for _, event in sent["order-completed"]]
    cancelled = [event["data"] for _, event in sent["order-cancelled"]]
    assert len(completed) == SHOPPERS * ROUNDS == len(orders)
    assert len(cancelled) == SHOPPERS * (ROUNDS // 2)
    for data in (*completed, *cancelled):
        assert_fields(data, orders[data["id"]])
    assert {data["id"] for data in completed} == set(orders)
    assert {data["status"] for data in completed} == {"COMPLETED"}
    assert {data["id"] for data in cancelled} == {order.pk for order in orders.values() if order.status == "CANCELLED"}
    assert {data["status"] for data in cancelled} == {"CANCELLED"}
    assert_in_order(sent["order-completed"], "id")
    assert_in_order(sent["order-cancelled"], "id")


def test_every_issued_coupon_is_published_once(sent: Sent) -> None:
    issued = [event["data"] for _, event in sent["coupon-issued"]]
    assert len(issued) == SHOPPERS
    assert sorted(issued, key=lambda data: data["userCouponId"]) == [
        {"userId": unit.user_id, "userCouponId": unit.pk, "couponId": unit.coupon_id}
        for unit in UserCoupon.objects.order_by("pk")
    ]


def assert_fields(data: Mapping[str, Any], order: Order) -> None:
    assert data["userId"] == order.user_id
    assert (data["totalAmount"], data["discountAmount"], data["paidAmount"]) == (
        order.total_amount,
        order.discount_amount,
        order.paid_amount,
    )
    assert data["userCouponId"] == order.user_coupon_id
    assert datetime.fromisoformat(data["createdAt"]) == order.created_at
    lines = [(item["productId"], item["unitPrice"], item["quantity"], item["subtotal"]) for item in data["items"]]
    assert sorted(lines) == sorted(
        (item.product_id, item.unit_price, item.quantity, item.unit_price * item.quantity) for item in order.items.all()
    )


def assert_in_order(events: Sequence[tuple[Record, Mapping[str, Any]]], identifier: str) -> None:
    """The events of each user are in one partition, in the order of their facts."""
    partitions: dict[bytes, set[int]] = defaultdict(set)
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for record, event in events:
        partitions[record.key].add(record.partition)
        numbers[record.key].append(event["data"][identifier])
    assert {len(places) for places in partitions.values()} == {1}
    for sent in numbers.values():
        assert sent == sorted(sent)
