"""`POST` and `GET /api/orders/{orderId}/refunds`."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from balances.models import LedgerEntry, User
from commerce.audit.models import StaffAction
from commerce.outbox.models import OutboxMessage
from coupons.models import Coupon, UserCoupon
from orders.models import Order, Refund
from products.models import Product, StockMovement
from tests.books import broken_rules
from tests.events import refunded_id
from tests.factories import ProductFactory, StaffFactory, UserCouponFactory, UserFactory, order_of
from tests.groups import round_trips
from tests.shop_state import nothing_changes
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

REASON = "Arrived broken."


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=1_200, stock=10)


@pytest.fixture
def chair() -> Product:
    return ProductFactory(name="Chair", price=15_000, stock=5)


@pytest.fixture
def clerk() -> Shopper:
    return Shopper(StaffFactory())


def refund(
    clerk: Shopper, order: Order, quantities: dict[Product, int], *, key: str | None = None, **more: Any
) -> Answer:
    items = [{"productId": product.pk, "quantity": units} for product, units in quantities.items()]
    return clerk.post(f"/api/orders/{order.pk}/refunds", {"items": items, "reason": REASON, **more}, key=key)


def test_a_unit_is_refunded_with_its_share_of_the_payment(
    clerk: Shopper, user: User, pen: Product, chair: Product
) -> None:
    unit = UserCouponFactory(user=user)
    order = order_of(user, {chair: 1, pen: 3}, coupon=unit)
    placed = Shopper(user).get(f"/api/orders/{order.pk}").json
    with round_trips() as trips:
        answer = refund(clerk, order, {pen: 1})
    made = Refund.objects.get()
    # 17,600 of 18,600 won were paid, so the share of 1,200 won is 1,135.4 won.
    assert answer.json == {
        "id": made.pk,
        "orderId": order.pk,
        "items": [{"productId": pen.pk, "quantity": 1, "amount": 1_135}],
        "amount": 1_135,
        "restock": True,
        "reason": REASON,
        "createdAt": timezone.localtime(made.created_at).isoformat(),
        "order": {
            **placed,
            "refundedAmount": 1_135,
            "items": [placed["items"][0], {**placed["items"][1], "refundedQuantity": 1}],
        },
    }
    user.refresh_from_db()
    pen.refresh_from_db()
    unit.refresh_from_db()
    assert (user.balance, pen.stock, unit.status) == (50_000 - 17_600 + 1_135, 8, "USED")
    entry = LedgerEntry.objects.get(type="REFUND")
    assert (entry.amount, entry.order_id, entry.refund_id, entry.user_id) == (1_135, order.pk, made.pk, user.pk)
    movement = StockMovement.objects.get(reason="RETURN")
    assert (movement.product_id, movement.quantity, movement.refund_id) == (pen.pk, 1, made.pk)
    assert len(trips.postgresql) == 2
    assert broken_rules() == set()


def test_the_order_reads_as_in_the_response(clerk: Shopper, user: User, pen: Product, chair: Product) -> None:
    order = order_of(user, {chair: 1, pen: 3})
    shown = refund(clerk, order, {pen: 2, chair: 1}).json["order"]
    assert Shopper(user).get(f"/api/orders/{order.pk}").json == shown
    assert Shopper(user).get("/api/users/orders").json["results"] == [shown]
    assert Shopper(user).get("/api/users/orders", status="REFUNDED").json["results"] == []


def test_the_last_unit_returns_the_rest_and_the_coupon(
    clerk: Shopper, user: User, pen: Product, chair: Product
) -> None:
    unit = UserCouponFactory(user=user)
    order = order_of(user, {chair: 1, pen: 3}, coupon=unit)
    amounts = [refund(clerk, order, each).json["amount"] for each in ({pen: 1}, {pen: 2}, {chair: 1})]
    assert sum(amounts) == order.paid_amount == 17_600
    shopper = Shopper(user)
    shown = shopper.get(f"/api/orders/{order.pk}").json
    assert (shown["status"], shown["refundedAmount"]) == ("REFUNDED", 17_600)
    assert [item["refundedQuantity"] for item in shown["items"]] == [1, 3]
    assert shopper.get("/api/users/orders", status="REFUNDED").json["results"] == [shown]
    user.refresh_from_db()
    unit.refresh_from_db()
    assert (user.balance, unit.status, unit.used_at) == (50_000, "AVAILABLE", None)
    # The coupon can be used again, although a refunded order has used it.
    body = {"items": [{"productId": pen.pk, "quantity": 1}], "userCouponId": unit.pk}
    assert shopper.post("/api/orders", body).json["discountAmount"] == 1_000
    assert broken_rules() == set()


def test_an_expired_coupon_is_returned_as_expired(clerk: Shopper, user: User, pen: Product) -> None:
    unit = UserCouponFactory(user=user)
    order = order_of(user, {pen: 1}, coupon=unit)
    over = timezone.now()
    UserCoupon.objects.update(expires_at=over)
    Coupon.objects.update(valid_until=over, issue_ends_at=over)
    assert refund(clerk, order, {pen: 1}).status == 200
    [shown] = Shopper(user).get("/api/users/coupons", status="ALL").json["results"]
    assert (shown["status"], shown["usedAt"]) == ("EXPIRED", None)


def test_without_restock_the_stock_stays(clerk: Shopper, user: User, pen: Product) -> None:
    order = order_of(user, {pen: 3})
    answer = refund(clerk, order, {pen: 2}, restock=False)
    assert (answer.json["amount"], answer.json["restock"]) == (2_400, False)
    pen.refresh_from_db()
    assert pen.stock == 7
    assert not StockMovement.objects.filter(reason="RETURN").exists()
    assert refund(clerk, order, {pen: 1}).json["order"]["status"] == "REFUNDED"
    pen.refresh_from_db()
    assert pen.stock == 8
    assert broken_rules() == set()


def test_an_order_paid_by_coupon_alone_can_be_refunded(clerk: Shopper, user: User) -> None:
    cheap = ProductFactory(price=500, stock=10)
    order = order_of(user, {cheap: 2}, coupon=UserCouponFactory(user=user))
    assert order.paid_amount == 0
    first = refund(clerk, order, {cheap: 1}).json
    assert (first["amount"], first["order"]["status"]) == (0, "COMPLETED")
    assert Shopper(user).post(f"/api/orders/{order.pk}/cancel").outcome == (409, "order_not_cancellable")
    assert refund(clerk, order, {cheap: 1}).json["order"]["status"] == "REFUNDED"
    assert broken_rules() == set()


def test_a_refund_goes_to_all_destinations_of_the_order(clerk: Shopper, user: User, pen: Product) -> None:
    order = order_of(user, {pen: 2})
    OutboxMessage.objects.all().delete()
    made = refund(clerk, order, {pen: 1}).json
    messages = {(each.type, each.destination): json.loads(each.payload) for each in OutboxMessage.objects.all()}
    assert messages.keys() == {
        ("balance-changed", "kafka"),
        ("order-refunded", "kafka"),
        ("order-refunded", "data-platform"),
    }
    event = messages["order-refunded", "kafka"]
    assert (event["data"], event["id"], event["subject"]) == (made, refunded_id(made), f"refund/{made['id']}")
    assert messages["balance-changed", "kafka"]["data"]["type"] == "REFUND"


def test_more_than_was_bought_is_refused(clerk: Shopper, user: User, pen: Product, chair: Product) -> None:
    order = order_of(user, {pen: 3})
    refund(clerk, order, {pen: 1})
    with nothing_changes():
        answer = refund(clerk, order, {pen: 3, chair: 1})
    assert answer.outcome == (400, "refund_exceeds_order")
    assert answer.json["items"] == [
        {"productId": pen.pk, "requested": 3, "refundable": 2},
        {"productId": chair.pk, "requested": 1, "refundable": 0},
    ]
    assert answer.json["detail"] == f"Of 2 products fewer units of order {order.pk} can be refunded."
    with nothing_changes():
        answer = refund(clerk, order, {pen: 3})
    sentence = f"Of product {pen.pk} 2 units of order {order.pk} can be refunded, not 3."
    assert answer.json["detail"] == sentence


def test_a_cancelled_and_a_refunded_order_are_not_refunded(clerk: Shopper, user: User, pen: Product) -> None:
    cancelled, back = order_of(user, {pen: 1}), order_of(user, {pen: 1})
    Shopper(user).post(f"/api/orders/{cancelled.pk}/cancel")
    refund(clerk, back, {pen: 1})
    for order, status in ((cancelled, "CANCELLED"), (back, "REFUNDED")):
        with nothing_changes():
            answer = refund(clerk, order, {pen: 1})
        assert answer.outcome == (409, "order_not_refundable")
        assert answer.json["orderStatus"] == status


@pytest.mark.parametrize("by_staff", [False, True], ids=["customer", "staff"])
def test_an_order_refunded_in_part_is_not_cancelled(clerk: Shopper, user: User, pen: Product, by_staff: bool) -> None:
    order = order_of(user, {pen: 2})
    refund(clerk, order, {pen: 1})
    path = f"/api/orders/{order.pk}/cancel"
    with nothing_changes():
        answer = clerk.post(path, {"reason": REASON}) if by_staff else Shopper(user).post(path)
    assert answer.outcome == (409, "order_not_cancellable")
    assert answer.json["detail"] == f"A part of order {order.pk} has been refunded."
    assert answer.json["orderStatus"] == "COMPLETED"


def test_refunding_an_unknown_order_is_refused(clerk: Shopper, pen: Product) -> None:
    body = {"items": [{"productId": pen.pk, "quantity": 1}], "reason": REASON}
    assert clerk.post("/api/orders/999999999/refunds", body).outcome == (404, "order_not_found")


@pytest.mark.parametrize(
    ("rights", "outcome"),
    [([], (403, "permission_denied")), (["view_order"], (403, "permission_denied")), (["cancel_order"], (200, None))],
    ids=str,
)
def test_staff_need_the_permission(
    user: User, pen: Product, rights: list[str], outcome: tuple[int, str | None]
) -> None:
    order, account = order_of(user, {pen: 1}), StaffFactory(is_superuser=False)
    account.user_permissions.set(Permission.objects.filter(codename__in=rights))
    assert refund(Shopper(account), order, {pen: 1}).outcome == outcome
    assert StaffAction.objects.count() == (outcome[0] == 200)


def test_a_customer_may_not_refund_an_own_order(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    with nothing_changes():
        assert refund(Shopper(user), order, {pen: 1}).outcome == (403, "permission_denied")


def test_it_writes_an_audit_record(user: User, pen: Product) -> None:
    order, account = order_of(user, {pen: 3}), StaffFactory()
    refund(Shopper(account), order, {pen: 1}, restock=False)
    action = StaffAction.objects.get()
    assert (action.actor, action.action, action.reason, action.subject_id) == (
        account,
        "Refunded",
        REASON,
        str(order.pk),
    )
    assert action.before == {"refunded": 0}
    assert action.after == {"refunded": 1_200, "units": 1, "restock": False}


def test_the_same_key_refunds_once(clerk: Shopper, user: User, pen: Product) -> None:
    order = order_of(user, {pen: 3})
    first = refund(clerk, order, {pen: 1}, key="a-key")
    again = refund(clerk, order, {pen: 1}, key="a-key")
    assert (again.content, again.replayed) == (first.content, True)
    with nothing_changes():
        assert refund(clerk, order, {pen: 2}, key="a-key").outcome == (422, "idempotency_key_reused")
    assert Refund.objects.count() == 1
    assert broken_rules() == set()


def test_a_closed_account_gets_its_money_back(clerk: Shopper, user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert refund(clerk, order, {pen: 1}).status == 200
    user.refresh_from_db()
    assert user.balance == 50_000


ONE = [{"productId": 1, "quantity": 1}]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"reason": REASON}, "items", "required"),
        ({"items": ONE}, "reason", "required"),
        ({"items": [], "reason": REASON}, "items", "min_length"),
        ({"items": ONE, "reason": ""}, "reason", "blank"),
        ({"items": ONE, "reason": " "}, "reason", "blank"),
        ({"items": ONE, "reason": "x" * 201}, "reason", "max_length"),
        ({"items": ONE, "reason": 7}, "reason", "invalid"),
        ({"items": ONE, "reason": REASON, "restock": "true"}, "restock", "invalid"),
        ({"items": ONE, "reason": REASON, "restock": 1}, "restock", "invalid"),
        ({"items": ONE, "reason": REASON, "restock": None}, "restock", "null"),
        ({"items": ONE, "reason": REASON, "amount": 5}, "amount", "unknown_field"),
        ({"items": [{"productId": 1, "quantity": 0}], "reason": REASON}, "items.0.quantity", "min_value"),
        ({"items": [{"productId": 1, "quantity": 1001}], "reason": REASON}, "items.0.quantity", "max_value"),
        ({"items": [{"productId": 1, "quantity": True}], "reason": REASON}, "items.0.quantity", "invalid"),
        ({"items": ONE * 2, "reason": REASON}, "items.1.productId", "unique"),
        ({"items": ONE * 101, "reason": REASON}, "items", "max_length"),
    ],
    ids=str,
)
def test_an_invalid_body_is_refused(
    clerk: Shopper, user: User, pen: Product, *, body: dict[str, Any], field: str, code: str
) -> None:
    order = order_of(user, {pen: 1})
    with nothing_changes():
        answer = clerk.post(f"/api/orders/{order.pk}/refunds", body)
    assert answer.outcome == (400, "validation_error")
    assert (field, code) in [(error["field"], error["code"]) for error in answer.json["errors"]]


class TestReading:
    def test_the_refunds_of_an_order_are_listed_newest_first(self, clerk: Shopper, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 3})
        made = [refund(clerk, order, {pen: 1}).json for _time in range(2)]
        shown = [{name: value for name, value in each.items() if name != "order"} for each in reversed(made)]
        for shopper in (Shopper(user), clerk):
            assert shopper.get(f"/api/orders/{order.pk}/refunds").json["results"] == shown
        first = Shopper(user).get(f"/api/orders/{order.pk}/refunds", pageSize=1).json
        assert (first["results"], first["previous"]) == (shown[:1], None)
        assert Shopper(user).get(first["next"]).json["results"] == shown[1:]

    def test_an_order_without_refunds_has_an_empty_list(self, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 1})
        assert Shopper(user).get(f"/api/orders/{order.pk}/refunds").json == {
            "next": None,
            "previous": None,
            "results": [],
        }

    def test_refunds_of_another_users_order_are_not_found(self, clerk: Shopper, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 1})
        refund(clerk, order, {pen: 1})
        path = f"/api/orders/{order.pk}/refunds"
        assert Shopper(UserFactory()).get(path).outcome == (404, "order_not_found")
        assert Shopper(user).get("/api/orders/999999999/refunds").outcome == (404, "order_not_found")
        assert Shopper().get(path).outcome == (401, "not_authenticated")

    def test_an_unknown_parameter_is_refused(self, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 1})
        answer = Shopper(user).get(f"/api/orders/{order.pk}/refunds", color="red")
        assert answer.json["errors"][0]["code"] == "unknown_parameter"
