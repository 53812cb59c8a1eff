"""The examples of the OpenAPI document are responses and messages of the shop.

`UPDATE_EXAMPLES=1` regenerates them. Otherwise they are compared with current responses: the same fields with values of
the same types.
"""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from commerce.api.schema_document import EXAMPLES, codes_of
from commerce.core.locks import request_lock
from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage, WebhookSubscription
from commerce.outbox.routes import KAFKA, WEBHOOKS, event_types_to
from commerce.webhooks import services
from coupons.models import DiscountType
from products import selectors
from stats.models import ProductStat
from tests.documented import schema
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory
from tests.security.conftest import HOURLY
from tests.shopper import Answer, Shopper
from tests.together import another_session, row_held, turn_held

HOST = {"Host": "shop.example"}
PASSWORD = "correct horse"


class Recorder:
    """A shop with some rows, and its responses so far."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings, self.monkeypatch = settings, monkeypatch
        settings.ALLOWED_HOSTS = [HOST["Host"], "testserver"]
        self.answers: dict[str, Any] = {}
        self.problems: dict[str, Any] = {}
        self.mina = UserFactory(username="mina", password=PASSWORD)
        self.juno = UserFactory(username="juno", balance=500)
        self.pen = ProductFactory(name="Fountain pen", description="A steel nib, blue ink.", price=18_000, stock=40)
        self.ink = ProductFactory(name="Blue ink", description="50 ml.", price=6_500, stock=3)
        self.coupon = CouponFactory(
            name="Autumn", discount_type=DiscountType.PERCENT, discount_value=10, max_discount=5_000, total_quantity=100
        )
        self.shopper = Shopper(self.mina)
        self.shopper.headers |= HOST

    def done(self, operation: str, answer: Answer) -> Any:
        assert answer.status == 200, answer
        self.answers[operation] = answer.json
        return answer.json

    def refused(self, answer: Answer) -> None:
        assert answer.status >= 400, answer
        self.problems[answer.json["code"]] = answer.json

    def events(self) -> dict[str, Any]:
        return {message.type: json.loads(message.payload) for message in OutboxMessage.objects.order_by("-id")}

    def shop_around(self) -> None:
        """Call every operation once, with non-empty responses."""
        shopper, coupon = self.shopper, self.coupon.pk
        login = {"username": "mina", "password": PASSWORD}
        tokens = self.done("token", Shopper().post("/api/auth/token", login))
        self.done("tokenRefresh", Shopper().post("/api/auth/token/refresh", {"refresh": tokens["refresh"]}))
        self.done("me", shopper.get("/api/users/me"))
        self.done("balanceCharge", shopper.post("/api/balance/charge", {"amount": 50_000}))
        self.done("coupons", shopper.get("/api/coupons"))
        held = self.done("couponIssue", shopper.post(f"/api/coupons/{coupon}/issue"))
        self.done("userCoupons", shopper.get("/api/users/coupons"))
        self.refused(shopper.post(f"/api/coupons/{coupon}/issue"))
        items = [{"productId": self.pen.pk, "quantity": 1}, {"productId": self.ink.pk, "quantity": 2}]
        order = self.done("orderPlace", shopper.post("/api/orders", {"items": items, "userCouponId": held["id"]}))
        self.done("order", shopper.get(f"/api/orders/{order['id']}"))
        self.refused(shopper.post("/api/orders", {"items": items[:1], "userCouponId": held["id"]}))
        self.done("balance", shopper.get(f"/api/balance/{self.mina.pk}"))
        self.done("userOrders", shopper.get("/api/users/orders"))
        kept = self.done("reservationMake", shopper.post("/api/reservations", {"items": items[:1]}))
        self.done("reservations", shopper.get("/api/reservations"))
        self.done("reservation", shopper.get(f"/api/reservations/{kept['id']}"))
        self.done("reservationRelease", shopper.send("DELETE", f"/api/reservations/{kept['id']}"))
        self.refused(shopper.post("/api/orders", {"reservationId": kept["id"]}))
        self.done("orderCancel", shopper.post(f"/api/orders/{order['id']}/cancel"))
        self.refused(shopper.post(f"/api/orders/{order['id']}/cancel"))
        self._refund(items)
        self.done("balanceHistory", shopper.get("/api/users/balance/history", pageSize=2))
        self.done("products", shopper.get("/api/products", pageSize=1))
        self.done("product", shopper.get(f"/api/products/{self.pen.pk}"))
        ProductStat.objects.create(product_id=self.pen.pk, date=timezone.localdate(), quantity_sold=12)
        self.done("productsPopular", shopper.get("/api/products/popular"))

    def _refund(self, items: list[dict[str, int]]) -> None:
        order = self.shopper.post("/api/orders", {"items": items}).json
        clerk, address = Shopper(StaffFactory()), f"/api/orders/{order['id']}/refunds"
        clerk.headers |= HOST
        one = {"items": [{"productId": self.ink.pk, "quantity": 1}], "reason": "Arrived broken.", "restock": False}
        self.done("orderRefund", clerk.post(address, one))
        self.done("orderRefunds", self.shopper.get(address))
        self.refused(clerk.post(address, {"items": items, "reason": "Sent back."}))
        rest = [{"productId": self.pen.pk, "quantity": 1}, {"productId": self.ink.pk, "quantity": 1}]
        assert clerk.post(address, {"items": rest, "reason": "Sent back."}).json["order"]["status"] == "REFUNDED"
        self.refused(clerk.post(address, one))

    def call_webhook_operations(self) -> None:
        """Call the operations of webhooks as staff."""
        staff = Shopper(StaffFactory())
        staff.headers |= HOST
        terms = {"name": "Warehouse", "url": "https://partner.example/webhooks", "eventTypes": ["order-completed"]}
        self.done("webhookCreate", staff.post("/api/webhooks", terms))
        webhook = WebhookSubscription.objects.get()
        at = f"/api/webhooks/{webhook.pk}"
        self.done("webhooks", staff.get("/api/webhooks"))
        self.done("webhook", staff.get(at))
        self.done("webhookChange", staff.send("PATCH", at, b'{"active": true}'))
        self.done("webhookRotate", staff.post(f"{at}/secret", {"overlapHours": 24}))
        message = OutboxMessage.objects.filter(type="order-completed").latest("id")
        DeliveryAttempt.objects.create(
            message=message,
            destination=WEBHOOKS,
            subscription=webhook,
            attempted_at=timezone.now(),
            duration_ms=84,
            http_status=200,
            outcome=DeliveryOutcome.ACKNOWLEDGED,
        )
        self.done("webhookCalls", staff.get(f"{at}/calls"))
        self.done("webhookResend", staff.post(f"{at}/resend", {"eventIds": [message.event_id]}))
        self.done("webhookRemove", staff.send("DELETE", at))
        self.refused(staff.get(at))
        with self.monkeypatch.context() as patch:
            patch.setattr(services, "MOST_SUBSCRIPTIONS", 0)
            self.refused(staff.post("/api/webhooks", terms))

    def call_refused_operations(self) -> None:
        """Send requests that are refused by rules, validation and authentication."""
        shopper, pen = self.shopper, self.pen.pk
        self.refused(shopper.post("/api/orders", {"items": [{"productId": pen, "quantity": 0}], "color": "red"}))
        self.refused(shopper.send("POST", "/api/orders", b'{"items": ['))
        self.refused(shopper.send("POST", "/api/orders", b"items=1", content_type="text/plain"))
        self.refused(shopper.send("POST", "/api/orders", b" " * (self.settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)))
        self.refused(shopper.send("DELETE", "/api/products"))
        self.refused(shopper.get("/api/products", headers={"Accept": "text/html"}))
        self.refused(shopper.get("/api/products", headers={"If-Match": '"another"'}))
        self.refused(shopper.get("/api/nothing"))
        self.refused(Shopper().get("/api/users/me"))
        self.refused(Shopper(access="nonsense").get("/api/users/me"))
        self.refused(shopper.get(f"/api/balance/{self.juno.pk}"))
        self.refused(Shopper(StaffFactory()).get("/api/balance/999999"))
        self.refused(shopper.get("/api/products/999999"))
        self.refused(shopper.post("/api/coupons/999999/issue"))
        self.refused(shopper.get("/api/orders/999999"))
        self.refused(shopper.get("/api/reservations/999999"))
        self.refused(shopper.post("/api/orders", {"items": [{"productId": self.ink.pk, "quantity": 5}]}))
        self.refused(Shopper(self.juno).post("/api/orders", {"items": [{"productId": pen, "quantity": 1}]}))
        rare = ProductFactory(name="Limited edition", price=100, purchase_limit=2)
        one = {"items": [{"productId": rare.pk, "quantity": 1}]}
        assert shopper.post("/api/orders", one).status == 200
        self.refused(shopper.post("/api/orders", {"items": [{"productId": rare.pk, "quantity": 2}]}))
        self.settings.BALANCE_LIMIT_WON = 55_000
        self.refused(shopper.post("/api/balance/charge", {"amount": 10_000}))
        sold_out = CouponFactory(total_quantity=1)
        over = CouponFactory(issue_ends_at=timezone.now() - timedelta(hours=1))
        assert Shopper(self.juno).post(f"/api/coupons/{sold_out.pk}/issue").status == 200
        self.refused(shopper.post(f"/api/coupons/{sold_out.pk}/issue"))
        self.refused(shopper.post(f"/api/coupons/{over.pk}/issue"))
        assert shopper.post("/api/balance/charge", {"amount": 1}, key="a-key").status == 200
        self.refused(shopper.post("/api/balance/charge", {"amount": 2}, key="a-key"))

    def call_failing_operations(self) -> None:
        """Send requests with temporary failures."""
        shopper, settings, charge = self.shopper, self.settings, ("/api/balance/charge", {"amount": 1})
        settings.LOCK_WAIT_SECONDS = 0.05
        with turn_held(request_lock(self.mina.pk, "held")):
            self.refused(shopper.post(*charge, key="held"))
        with row_held("user", self.mina.pk):
            self.refused(shopper.post(*charge))
        settings.LOCK_WAIT_SECONDS, settings.TRANSACTION_SECONDS = 3.0, 0.2
        with another_session() as migration:
            migration.execute('LOCK TABLE "user" IN ACCESS EXCLUSIVE MODE')
            self.refused(shopper.post(*charge))
        settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = HOURLY, 1
        shopper.post(*charge)
        self.refused(shopper.post(*charge))
        self.monkeypatch.setattr(selectors, "product_for_sale", lambda product_id: 1 // 0)
        crashed = Client(raise_request_exception=False).get("/api/products/1")
        self.problems[crashed.json()["code"]] = crashed.json()


@pytest.fixture
def recorded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Mapping[str, Any]]:
    recorder = Recorder(settings, monkeypatch)
    recorder.shop_around()
    recorder.call_webhook_operations()
    events = recorder.events()
    recorder.call_refused_operations()
    recorder.call_failing_operations()
    return {
        "answers": recorder.answers,
        "problems": dict(sorted(recorder.problems.items())),
        "events": dict(sorted(events.items())),
    }


def shape(value: Any) -> Any:
    """The fields and the types of their values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_examples_have_the_shape_of_responses(recorded: dict[str, Mapping[str, Any]]) -> None:
    if os.environ.get("UPDATE_EXAMPLES"):
        EXAMPLES.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
    kept = json.loads(EXAMPLES.read_text())
    again = "To write them anew: UPDATE_EXAMPLES=1 make test ARGS=tests/contract/test_examples.py"
    assert shape(recorded) == shape(kept), again


def test_every_answer_and_every_problem_has_an_example() -> None:
    kept = json.loads(EXAMPLES.read_text())
    operations = [operation for item in schema()["paths"].values() for operation in item.values()]
    assert kept["answers"].keys() == {operation["operationId"] for operation in operations}
    assert kept["problems"].keys() == set(schema()["components"]["schemas"]["ProblemCode"]["enum"])
    assert kept["events"].keys() == set(event_types_to(KAFKA))
    for operation in operations:
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                shown = content.get("examples", {}).keys() or content["example"]
                assert shown, (operation["operationId"], status)
                if status.isdigit() and int(status) >= 400:
                    assert shown == set(codes_of(response))
