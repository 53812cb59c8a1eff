"""The webhook receiver of the client accepts calls of the shop's own sink, and nothing else."""

import json
import time
from collections.abc import Sequence

import pytest
from commerce_client import webhooks
from commerce_client.models import OrderCancelledEvent, OrderCompletedEvent, OrderRefundedEvent

from commerce.outbox.models import OutboxMessage
from commerce.outbox.sinks.data_platform import signature
from tests.factories import ProductFactory, StaffFactory, UserFactory
from tests.shopper import Shopper

SECRET = "the partner's and our secret, 40 letters"


@pytest.mark.django_db(transaction=True)
def test_the_shop_s_messages_are_read() -> None:
    shopper, pen = Shopper(UserFactory(balance=5_000)), ProductFactory(price=1_000)
    order = shopper.post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 2}]}).json
    shopper.post(f"/api/orders/{order['id']}/cancel")
    second = shopper.post("/api/orders", {"items": [{"productId": pen.pk, "quantity": 2}]}).json
    refund = {"items": [{"productId": pen.pk, "quantity": 1}], "reason": "Sent back."}
    assert Shopper(StaffFactory()).post(f"/api/orders/{second['id']}/refunds", refund).status == 200
    sent = OutboxMessage.objects.filter(destination="data-platform").order_by("id")
    read = []
    for message in sent:
        body = message.payload.encode()
        read.append(webhooks.read(body, signature([SECRET], body, sent_at=int(time.time())), SECRET))
    completed, cancelled, _second, refunded = read
    assert isinstance(refunded, OrderRefundedEvent)
    assert (refunded.data.amount, refunded.data.order.id) == (1_000, second["id"])
    assert isinstance(completed, OrderCompletedEvent)
    assert isinstance(cancelled, OrderCancelledEvent)
    assert (completed.data.id, completed.data.paid_amount) == (order["id"], 2_000)
    assert cancelled.data.cancelled_at is not None
    assert [event.id for event in read] == [message.event_id for message in sent]


BODY = b'{"type": "order-completed"}'
NOW = 1_767_225_600
GOOD = signature([SECRET], BODY, sent_at=NOW)


@pytest.mark.parametrize(
    ("body", "header", "now"),
    [
        (BODY + b" ", GOOD, NOW),
        (BODY, signature(["another secret"], BODY, sent_at=NOW), NOW),
        (BODY, GOOD.replace(f"t={NOW}", f"t={NOW + 1}"), NOW),
        (BODY, GOOD, NOW + 301),
        (BODY, GOOD, NOW - 301),
        (BODY, "", NOW),
        (BODY, "t=,v1=", NOW),
        (BODY, f"t={NOW}", NOW),
        (BODY, GOOD + f",t={NOW}", NOW),
        (BODY, GOOD.replace("v1", "v0"), NOW),
        (BODY, f"t={'9' * 5_000},v1=00", NOW),
        (BODY, f"t={NOW},v1=é", NOW),
        (BODY, f"t=٣,v1={'0' * 64}", NOW),
    ],
)
def test_messages_of_others_are_refused(body: bytes, header: str, now: float) -> None:
    with pytest.raises(webhooks.NotFromTheShop):
        webhooks.read(body, header, SECRET, now=now)


@pytest.mark.parametrize("secrets", [SECRET, [SECRET], ["the next one", SECRET], (SECRET, "the one before")])
def test_during_a_rotation_both_secrets_are_accepted(secrets: str | Sequence[str]) -> None:
    webhooks.verify(BODY, GOOD, secrets, now=NOW)
    both = f"{signature(['the next one'], BODY, sent_at=NOW)},{GOOD.partition(',')[2]}"
    webhooks.verify(BODY, both, secrets, now=NOW)


def test_an_unknown_event_is_refused() -> None:
    body = json.dumps({"type": "order-shipped"}).encode()
    with pytest.raises(ValueError, match="order-shipped"):
        webhooks.read(body, signature([SECRET], body, sent_at=NOW), SECRET, now=NOW)
