"""The judge finds planted differences, and nothing in a correct history."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.conf import settings
from django_redis import get_redis_connection

from balances.models import LedgerEntry, User
from commerce.idempotency.models import IdempotencyKey
from coupons.models import Coupon
from products.models import Product
from tests.events import cancelled_id, completed_id
from tests.factories import CouponFactory, ProductFactory, UserFactory, order_of
from tests.faults.history import Call, Outcome, unresolved
from tests.faults.judge import judge, not_reported
from tests.faults.runner import locks_without_end
from tests.faults.scene import Scene
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

Ask = Callable[..., Call]


@pytest.fixture
def mina() -> User:
    return UserFactory(balance=100_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_000, stock=5)


@pytest.fixture
def coupon() -> Coupon:
    return CouponFactory(discount_value=300)


@pytest.fixture
def scene(mina: User, pen: Product, coupon: Coupon) -> Scene:
    return Scene(
        tokens={mina.pk: "unused"},
        products=[pen.pk],
        scarce=[],
        coupons=[coupon.pk],
        probe_user=0,
        opening=set(LedgerEntry.objects.values_list("id", flat=True)),
        users=[mina.pk],
    )


@pytest.fixture
def ask(mina: User) -> Ask:
    """Send a write to the real shop; returns its call as in the history."""
    shopper = Shopper(mina)

    def send(kind: str, path: str, body: Any = None, *, key: str) -> Call:
        answer = shopper.post(path, **({} if body is None else {"body": body}), key=key)
        return answered(without_response(kind, path, body, key=key, user=mina), answer)

    return send


def without_response(kind: str, path: str, body: Any = None, *, key: str, user: User) -> Call:
    """A write whose client has lost the connection."""
    return Call(1, "client", kind, user.pk, "POST", path, body, key, sent_at=0.0, answered_at=0.1, trouble="cut")


def answered(call: Call, answer: Answer) -> Call:
    """The same call with this response."""
    return replace(
        call,
        status=answer.status,
        content=answer.content,
        content_type=answer.headers["Content-Type"],
        request_id=answer.headers["X-Request-ID"],
        retry_after=answer.headers.get("Retry-After"),
        replayed=answer.replayed,
        trouble="",
    )


def order_body(pen: Product, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"items": [{"productId": pen.pk, "quantity": quantity}], **more}


def answered_otherwise(call: Call, **changes: Any) -> Call:
    """The same call with a different response."""
    return replace(call, content=json.dumps({**call.json, **changes}).encode())


def test_finds_nothing_if_rows_match_the_responses(ask: Ask, scene: Scene, pen: Product, coupon: Coupon) -> None:
    issued = ask("issue", f"/api/coupons/{coupon.pk}/issue", key="b")
    placed = ask("order", "/api/orders", order_body(pen, 2, userCouponId=issued.json["id"]), key="c")
    calls = [
        ask("charge", "/api/balance/charge", {"amount": 500}, key="a"),
        issued,
        placed,
        ask("order", "/api/orders", order_body(pen, 4), key="d"),
        ask("cancel", f"/api/orders/{placed.json['id']}/cancel", key="e"),
        ask("cancel", f"/api/orders/{placed.json['id']}/cancel", key="f"),
    ]
    assert [call.outcome for call in calls].count(Outcome.REFUSED) == 2
    assert judge(calls, scene) == []


def test_finds_an_acknowledged_order_that_does_not_exist(ask: Ask, scene: Scene, pen: Product) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    lost = replace(answered_otherwise(placed, id=placed.json["id"] + 7), key="b")
    assert any("does not exist" in sentence for sentence in judge([placed, lost], scene))


def test_finds_a_body_that_differs_from_the_rows(ask: Ask, scene: Scene, pen: Product) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    found = judge([answered_otherwise(placed, paidAmount=999)], scene)
    assert any("paidAmount 999 in the response, 1000 in the database" in sentence for sentence in found)


def test_finds_an_order_without_a_request(mina: User, scene: Scene, pen: Product) -> None:
    stray = order_of(mina, {pen: 1})
    (sentence,) = judge([], scene)
    assert sentence.startswith(f"order {stray.pk} is there")


def test_a_lost_answer_explains_one_effect_and_not_two(mina: User, scene: Scene, pen: Product) -> None:
    unknown = without_response("order", "/api/orders", order_body(pen), key="a", user=mina)
    order_of(mina, {pen: 1})
    assert judge([unknown], scene) == []
    order_of(mina, {pen: 1})
    (sentence,) = judge([unknown], scene)
    assert "no call was acknowledged with it" in sentence


def test_a_lost_answer_does_not_explain_another_cart(mina: User, scene: Scene, pen: Product) -> None:
    order_of(mina, {pen: 2})
    unknown = without_response("order", "/api/orders", order_body(pen, 1), key="a", user=mina)
    assert len(judge([unknown], scene)) == 1


def test_finds_an_effect_of_a_request_that_was_never_sent(mina: User, scene: Scene, pen: Product) -> None:
    order_of(mina, {pen: 1})
    unsent = replace(without_response("order", "/api/orders", order_body(pen), key="a", user=mina), never_sent=True)
    assert unsent.outcome is Outcome.REFUSED
    assert len(judge([unsent], scene)) == 1


def test_finds_refused_writes_that_happened(ask: Ask, mina: User, scene: Scene, pen: Product, coupon: Coupon) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    happened = [
        ask("charge", "/api/balance/charge", {"amount": 500}, key="b"),
        ask("issue", f"/api/coupons/{coupon.pk}/issue", key="c"),
        ask("cancel", f"/api/orders/{placed.json['id']}/cancel", key="d"),
    ]
    refused = [replace(call, never_sent=True, status=None, content=b"") for call in happened]
    found = judge([placed, *refused], scene)
    assert {sentence.split()[0] for sentence in found if "is there" in sentence} == {"charge", "issue", "cancel"}


def test_finds_two_responses_with_the_same_order(ask: Ask, scene: Scene, pen: Product) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    found = judge([placed, replace(placed, key="b")], scene)
    assert any("was the answer to 2 requests" in sentence for sentence in found)


def test_finds_a_repeat_with_other_bytes_and_one_that_does_not_say_so(ask: Ask, scene: Scene, pen: Product) -> None:
    first = ask("order", "/api/orders", order_body(pen), key="a")
    repeat = ask("order", "/api/orders", order_body(pen), key="a")
    assert judge([first, repeat], scene) == []
    spaced = replace(repeat, content=json.dumps(repeat.json, indent=1).encode())
    assert any("got another answer" in sentence for sentence in judge([first, spaced], scene))
    silent = replace(repeat, replayed=False)
    assert any("not marked as a repeat" in sentence for sentence in judge([first, silent], scene))


def test_finds_an_answer_that_was_not_kept(ask: Ask, scene: Scene, pen: Product) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    refused = ask("order", "/api/orders", order_body(pen, 900), key="b")
    IdempotencyKey.objects.all().delete()
    found = judge([placed, refused], scene)
    assert sum("kept is nothing" in sentence for sentence in found) == 2


def test_finds_an_answer_kept_for_a_request_that_was_put_off(ask: Ask, scene: Scene, pen: Product) -> None:
    refused = ask("order", "/api/orders", order_body(pen, 900), key="a")
    busy = replace(refused, status=503, content=json.dumps({**refused.json, "code": "lock_timeout"}).encode())
    assert busy.outcome is Outcome.REFUSED
    assert any("was put off" in sentence for sentence in judge([replace(busy, retry_after="1")], scene))


def test_finds_undocumented_responses(ask: Ask, scene: Scene, pen: Product) -> None:
    refused = ask("order", "/api/orders", order_body(pen, 900), key="a")
    crash = answered_otherwise(
        replace(refused, status=500), status=500, code="internal_error", type="/problems/internal-error"
    )
    assert any("is not documented" in sentence for sentence in judge([crash], scene))
    without_header = answered_otherwise(
        replace(refused, status=503), status=503, code="service_unavailable", type="/problems/service-unavailable"
    )
    assert any("has no Retry-After" in sentence for sentence in judge([without_header], scene))
    assert not any("Retry-After" in sentence for sentence in judge([replace(without_header, retry_after="2")], scene))


def test_finds_a_request_that_took_too_long(ask: Ask, scene: Scene, pen: Product) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    assert judge([replace(placed, answered_at=10.0)], scene) == []
    (sentence,) = judge([replace(placed, answered_at=10.1)], scene)
    assert "longer than any request may" in sentence


def test_finds_an_acknowledged_order_that_is_not_found_when_it_is_read(mina: User, scene: Scene) -> None:
    answer = Shopper(mina).get("/api/orders/999999")
    read = answered(Call(1, "client", "read", mina.pk, "GET", "/api/orders/999999", None, None, 0.0, 0.1), answer)
    assert any("is not found" in sentence for sentence in judge([read], scene))


def test_finds_events_missing_in_the_data_platform(ask: Ask, pen: Product) -> None:
    placed = ask("order", "/api/orders", order_body(pen), key="a")
    cancelled = ask("cancel", f"/api/orders/{placed.json['id']}/cancel", key="b")
    (sentence,) = not_reported([placed, cancelled], {completed_id(placed.json)})
    assert sentence == f"{cancelled_id(cancelled.json)} never reached the data platform"


def test_finds_a_lock_without_an_end() -> None:
    locks = get_redis_connection("locks")
    url = settings.CACHES["locks"]["LOCATION"]
    locks.set("product:1:lock", "token", px=5_000)
    assert locks_without_end(redis.Redis.from_url(url)) == []
    locks.set("product:2:lock", "token")
    assert locks_without_end(redis.Redis.from_url(url)) == ["lock product:2:lock has no TTL"]


def test_a_call_is_resolved_by_any_later_answer_to_its_key(ask: Ask, mina: User, pen: Product) -> None:
    unknown = without_response("order", "/api/orders", order_body(pen), key="a", user=mina)
    assert unresolved([unknown, replace(unknown, number=2)]) == [unknown]
    assert unresolved([unknown, ask("order", "/api/orders", order_body(pen), key="a")]) == []
