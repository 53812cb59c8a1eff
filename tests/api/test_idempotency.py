"""`Idempotency-Key`: a request has its effect once, even if its response is lost. The cases are numbered."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from balances.models import LedgerEntry, User
from commerce.core.locks import request_lock, user_lock
from commerce.idempotency.models import IdempotencyKey
from coupons.models import Coupon
from orders.models import Order
from products.models import Product
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory, order_of
from tests.groups import round_trips
from tests.shop_state import nothing_changes
from tests.shopper import NO_BODY, Answer, Shopper
from tests.together import together, turn_held

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "5f0c1c9e-first!"
AT_ONCE = 30


class Shop:
    """A customer with a balance, a product, a coupon open for issue, and an order to cancel."""

    def __init__(self) -> None:
        self.user: User = UserFactory(balance=50_000)
        self.pen: Product = ProductFactory(price=1_200, stock=10)
        self.coupon: Coupon = CouponFactory()
        self.order: Order = order_of(self.user, {self.pen: 1})
        self.shopper = Shopper(self.user)

    def request(self, operation: str) -> tuple[str, Any]:
        requests: dict[str, tuple[str, Any]] = {
            "charge": ("/api/balance/charge", {"amount": 1_000}),
            "order": ("/api/orders", {"items": [{"productId": self.pen.pk, "quantity": 2}]}),
            "issue": (f"/api/coupons/{self.coupon.pk}/issue", NO_BODY),
            "cancel": (f"/api/orders/{self.order.pk}/cancel", NO_BODY),
        }
        return requests[operation]

    def post(self, operation: str, *, key: str | None = KEY) -> Answer:
        path, body = self.request(operation)
        return self.shopper.post(path, body, key=key)


@pytest.fixture
def shop() -> Shop:
    return Shop()


OPERATIONS = ["charge", "order", "issue", "cancel"]
WITH_KEY = {"charge": [4, 2], "order": [6, 2], "issue": [6, 2], "cancel": [6, 2]}
"""Statements in each round trip of the first request:

one more than without a key, for the lookup of a stored response.
"""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_1_the_first_request_is_answered_as_without_a_key(shop: Shop, operation: str) -> None:
    with round_trips() as trips:
        answer = shop.post(operation)
    assert answer.status == 200
    assert not answer.replayed
    assert [len(sent) for sent in trips.postgresql] == WITH_KEY[operation]
    kept = IdempotencyKey.objects.get()
    assert (kept.caller_id, kept.key, kept.status) == (shop.user.pk, KEY, 200)
    assert (kept.content_type, bytes(kept.body)) == ("application/json", answer.content)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_2_its_repeat_gets_the_same_bytes_and_has_no_effect(shop: Shop, operation: str) -> None:
    first = shop.post(operation)
    with nothing_changes():
        again = shop.post(operation)
        third = shop.post(operation)
    for repeat in (again, third):
        assert repeat.replayed
        assert repeat.status == 200
        assert repeat.content == first.content
        assert repeat.headers["Content-Type"] == first.headers["Content-Type"]
        assert repeat.headers["X-Request-ID"] != first.headers["X-Request-ID"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_3_without_a_key_every_request_is_its_own(shop: Shop, operation: str) -> None:
    first = shop.post(operation, key=None)
    second = shop.post(operation, key=None)
    assert first.status == 200
    assert not second.replayed
    expected = {"issue": (400, "coupon_already_issued"), "cancel": (409, "order_not_cancellable")}
    assert second.outcome == expected.get(operation, (200, None))
    assert not IdempotencyKey.objects.exists()


def test_4_a_refusal_is_stored_and_repeated(shop: Shop) -> None:
    body = {"items": [{"productId": shop.pen.pk, "quantity": 999}]}
    first = shop.shopper.post("/api/orders", body, key=KEY)
    assert first.outcome == (400, "out_of_stock")
    Product.objects.update(stock=1_000, price=1)
    with nothing_changes():
        again = shop.shopper.post("/api/orders", body, key=KEY)
    assert again.replayed
    assert (again.status, again.content) == (first.status, first.content)
    assert again.headers["Original-Request-ID"] == again.json["requestId"] == first.headers["X-Request-ID"]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    for name in ("Content-Type", "Content-Language", "Vary"):
        assert again.headers[name] == first.headers[name]
    assert shop.shopper.post("/api/orders", body, key="another-key").status == 200


def test_4_a_refusal_is_repeated_in_its_language(shop: Shop) -> None:
    body = {"items": [{"productId": shop.pen.pk, "quantity": 999}]}
    first = Shopper(shop.user, language="ko").post("/api/orders", body, key=KEY)
    again = Shopper(shop.user, language="en").post("/api/orders", body, key=KEY)
    assert again.json["title"] == first.json["title"]
    assert (again.headers["Content-Language"], again.headers["Vary"]) == ("ko", "Accept-Language")


@pytest.mark.parametrize(
    ("path", "body", "outcome"),
    [
        ("/api/balance/charge", {"amount": 1, "userId": 999_999_999, "reason": "Asked."}, (404, "user_not_found")),
        ("/api/coupons/999999999/issue", NO_BODY, (404, "coupon_not_found")),
        ("/api/orders/999999999/cancel", {"reason": "Asked."}, (404, "order_not_found")),
        ("/api/orders", {"items": [{"productId": 999_999_999, "quantity": 1}]}, (404, "product_not_found")),
    ],
)
def test_4_not_found_is_repeated_too(path: str, body: Any, outcome: tuple[int, str]) -> None:
    clerk = Shopper(StaffFactory())
    first = clerk.post(path, body, key=KEY)
    again = clerk.post(path, body, key=KEY)
    assert first.outcome == again.outcome == outcome
    assert not first.replayed
    assert again.replayed
    assert again.content == first.content


def test_5_an_invalid_request_is_not_stored(shop: Shop) -> None:
    """A client may correct the body and retry with the same key."""
    assert shop.shopper.post("/api/balance/charge", {"amount": 0}, key=KEY).outcome == (400, "validation_error")
    assert not IdempotencyKey.objects.exists()
    assert shop.post("charge").status == 200


def test_6_another_body_under_the_same_key_is_refused(shop: Shop) -> None:
    shop.post("charge")
    with nothing_changes():
        answer = shop.shopper.post("/api/balance/charge", {"amount": 1_001}, key=KEY)
    assert answer.outcome == (422, "idempotency_key_reused")
    assert not answer.replayed


def test_6_order_of_fields_and_whitespace_do_not_matter(shop: Shop) -> None:
    spelled = [f'{{"amount": 5, "userId": {shop.user.pk}}}', f'{{"userId":{shop.user.pk},"amount":5}}']
    first, again = (
        shop.shopper.send("POST", "/api/balance/charge", body.encode(), headers={"Idempotency-Key": KEY})
        for body in spelled
    )
    assert again.replayed
    assert again.content == first.content


@pytest.mark.parametrize("other", ["order", "issue", "cancel"])
def test_7_another_path_under_the_same_key_is_refused(shop: Shop, other: str) -> None:
    shop.post("charge")
    with nothing_changes():
        assert shop.post(other).outcome == (422, "idempotency_key_reused")


def test_7_another_order_under_the_same_key_is_refused(shop: Shop) -> None:
    other = order_of(shop.user, {shop.pen: 1})
    shop.post("cancel")
    with nothing_changes():
        answer = shop.shopper.post(f"/api/orders/{other.pk}/cancel", key=KEY)
    assert answer.outcome == (422, "idempotency_key_reused")


def test_7_also_if_the_other_request_would_be_refused(shop: Shop) -> None:
    shop.post("charge")
    body = {"items": [{"productId": shop.pen.pk, "quantity": 999}]}
    with nothing_changes():
        assert shop.shopper.post("/api/orders", body, key=KEY).outcome == (422, "idempotency_key_reused")


def test_8_keys_of_different_callers_are_independent(shop: Shop) -> None:
    other = UserFactory()
    mine = shop.post("charge")
    theirs = Shopper(other).post("/api/balance/charge", {"amount": 1_000}, key=KEY)
    assert not theirs.replayed
    assert (mine.json["userId"], theirs.json["userId"]) == (shop.user.pk, other.pk)
    assert theirs.json["balance"] == 1_000


def test_8_staff_acting_for_a_customer_have_their_own_keys(shop: Shop) -> None:
    shop.post("charge")
    body = {"amount": 1_000, "userId": shop.user.pk, "reason": "Asked."}
    assert not Shopper(StaffFactory()).post("/api/balance/charge", body, key=KEY).replayed


@pytest.mark.parametrize("operation", ["charge", "order"])
def test_9_after_24_hours_the_key_is_free_again(shop: Shop, operation: str) -> None:
    first = shop.post(operation)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))
    second = shop.post(operation)
    assert second.status == 200
    assert not second.replayed
    assert second.content != first.content
    assert bytes(IdempotencyKey.objects.get().body) == second.content


def test_9_within_24_hours_it_is_not(shop: Shop) -> None:
    first = shop.post("charge")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59, seconds=30))
    again = shop.post("charge")
    assert again.replayed
    assert again.content == first.content


def test_9_after_24_hours_a_refusal_is_stored_again(shop: Shop) -> None:
    shop.post("issue")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    refused = shop.post("issue")
    again = shop.post("issue")
    assert refused.outcome == again.outcome == (400, "coupon_already_issued")
    assert (refused.replayed, again.replayed) == (False, True)


def test_9_after_24_hours_another_request_may_use_the_key(shop: Shop) -> None:
    shop.post("charge")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert shop.post("order").status == 200


@pytest.mark.parametrize("key", ["a", "!", "~", "x" * 255, "5f0c1c9e-8d4b-4f6e-9d3a-2b1c0d9e8f7a", 'a"b{}\\,;:'])
def test_10_a_key_is_any_visible_ascii(shop: Shop, key: str) -> None:
    first = shop.post("charge", key=key)
    again = shop.post("charge", key=key)
    assert (first.status, again.replayed) == (200, True)


def test_11_a_failure_is_not_stored(shop: Shop, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0.05
    with turn_held(user_lock(shop.user.pk)), nothing_changes():
        failed = shop.post("charge")
    assert failed.outcome == (503, "lock_timeout")
    assert failed.headers["Retry-After"] == "1"
    retried = shop.post("charge")
    assert retried.status == 200
    assert not retried.replayed


@pytest.mark.parametrize("operation", OPERATIONS)
def test_12_thirty_concurrent_requests_have_one_effect(shop: Shop, operation: str) -> None:
    before = {"ledger": LedgerEntry.objects.count(), "orders": Order.objects.count()}
    answers = together([lambda: _own_client(shop).post(operation) for _ in range(AT_ONCE)])
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert LedgerEntry.objects.count() == before["ledger"] + (operation != "issue")
    assert Order.objects.count() == before["orders"] + (operation == "order")
    shop.coupon.refresh_from_db()
    assert shop.coupon.issued_count == (operation == "issue")


def test_12_thirty_concurrent_refusals_are_one_response(shop: Shop) -> None:
    shop.post("issue", key=None)
    answers = together([lambda: _own_client(shop).post("issue") for _ in range(AT_ONCE)])
    assert {answer.outcome for answer in answers} == {(400, "coupon_already_issued")}
    assert len({answer.content for answer in answers}) == 1


def test_13_a_repeat_while_the_first_is_in_progress_is_refused(shop: Shop, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0.05
    with turn_held(request_lock(shop.user.pk, KEY)), nothing_changes():
        answers = {operation: shop.post(operation) for operation in OPERATIONS}
    for operation, answer in answers.items():
        assert answer.outcome == (409, "request_in_progress"), operation
        assert answer.headers["Retry-After"] == "1"
        assert shop.post(operation, key=f"{KEY}-{operation}").status == 200


def test_14_the_record_and_the_effect_are_one_transaction(shop: Shop) -> None:
    """If the response cannot be stored, its effect is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE idempotency_key ADD CONSTRAINT nothing_fits CHECK (status <> 200) NOT VALID")
    try:
        with nothing_changes():
            response = Client().post(
                "/api/balance/charge",
                {"amount": 1_000},
                content_type="application/json",
                headers={**shop.shopper.headers, "Idempotency-Key": KEY},
            )
        assert response.status_code == 500
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE idempotency_key DROP CONSTRAINT nothing_fits")
    assert shop.post("charge").json["balance"] == 49_800


def _own_client(shop: Shop) -> Shop:
    """The same shop with a separate client for the thread."""
    own = object.__new__(Shop)
    own.__dict__.update(shop.__dict__, shopper=Shopper(shop.user))
    return own
