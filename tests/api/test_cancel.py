"""`POST /api/orders/{orderId}/cancel`."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from balances.models import LedgerEntry, User
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff
from commerce.outbox.models import OutboxMessage
from coupons.models import Coupon, UserCoupon
from products import services
from products.models import Product, StockMovement
from tests.events import cancelled_id
from tests.factories import ProductFactory, StaffFactory, UserCouponFactory, UserFactory, order_of
from tests.groups import round_trips
from tests.shop_state import nothing_changes, statements
from tests.shopper import NO_BODY, Shopper

pytestmark = pytest.mark.django_db(transaction=True)


def test_units_and_money_are_returned(user: User, pen: Product) -> None:
    chair = ProductFactory(name="Chair", price=15_000, stock=5)
    unit = UserCouponFactory(user=user)
    shopper = Shopper(user)
    order = order_of(user, {chair: 1, pen: 3}, coupon=unit)
    placed = shopper.get(f"/api/orders/{order.pk}").json
    with round_trips() as trips:
        answer = shopper.post(f"/api/orders/{order.pk}/cancel")
    order.refresh_from_db()
    assert answer.status == 200
    assert answer.json == {
        **placed,
        "status": "CANCELLED",
        "refundedAmount": 17_600,
        "items": [{**item, "refundedQuantity": item["quantity"]} for item in placed["items"]],
        "cancelledAt": timezone.localtime(order.cancelled_at).isoformat(),
    }
    assert (placed["paidAmount"], answer.json["paidAmount"]) == (17_600, 17_600)
    for product, stock in ((pen, 10), (chair, 5)):
        product.refresh_from_db()
        assert product.stock == stock
    returned = StockMovement.objects.filter(order_id=order.pk, reason="RETURN").values_list("product_id", "quantity")
    assert set(returned) == {(pen.pk, 3), (chair.pk, 1)}
    refund = LedgerEntry.objects.get(order_id=order.pk, type="REFUND")
    assert (refund.amount, refund.balance_after, refund.user_id) == (17_600, 50_000, user.pk)
    unit.refresh_from_db()
    assert (unit.status, unit.used_at) == ("AVAILABLE", None)
    assert [len(sent) for sent in trips.postgresql] == [6, 2]


def test_the_order_reads_as_in_the_response(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    shopper = Shopper(user)
    cancelled = shopper.post(f"/api/orders/{order.pk}/cancel").json
    assert shopper.get(f"/api/orders/{order.pk}").json == cancelled


def test_a_cancellation_goes_to_all_destinations_of_the_order(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    OutboxMessage.objects.all().delete()
    cancelled = Shopper(user).post(f"/api/orders/{order.pk}/cancel").json
    messages = {(each.type, each.destination): json.loads(each.payload) for each in OutboxMessage.objects.all()}
    assert messages.keys() == {
        ("balance-changed", "kafka"),
        ("order-cancelled", "kafka"),
        ("order-cancelled", "data-platform"),
    }
    assert messages["order-cancelled", "kafka"]["data"] == cancelled
    assert messages["order-cancelled", "kafka"]["id"] == cancelled_id(cancelled)
    assert messages["balance-changed", "kafka"]["data"]["type"] == "REFUND"


def test_the_coupon_can_be_used_again(user: User, pen: Product) -> None:
    unit = UserCouponFactory(user=user)
    first = order_of(user, {pen: 1}, coupon=unit)
    shopper = Shopper(user)
    shopper.post(f"/api/orders/{first.pk}/cancel")
    body = {"items": [{"productId": pen.pk, "quantity": 1}], "userCouponId": unit.pk}
    assert shopper.post("/api/orders", body).json["discountAmount"] == 1_000
    with nothing_changes():
        assert shopper.post(f"/api/orders/{first.pk}/cancel").outcome == (409, "order_not_cancellable")


def test_an_expired_coupon_is_returned_as_expired(user: User, pen: Product) -> None:
    unit = UserCouponFactory(user=user)
    order = order_of(user, {pen: 1}, coupon=unit)
    over = timezone.now()
    UserCoupon.objects.update(expires_at=over)
    Coupon.objects.update(valid_until=over, issue_ends_at=over)
    shopper = Shopper(user)
    assert shopper.post(f"/api/orders/{order.pk}/cancel").status == 200
    assert shopper.get("/api/users/coupons").json["results"] == []
    [shown] = shopper.get("/api/users/coupons", status="ALL").json["results"]
    assert (shown["status"], shown["usedAt"]) == ("EXPIRED", None)


def test_the_paid_amount_is_returned_not_the_current_price(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    pen.price, pen.is_active = 9_999, False
    services.save_product(pen, by=Staff(StaffFactory().pk))
    Shopper(user).post(f"/api/orders/{order.pk}/cancel")
    user.refresh_from_db()
    pen.refresh_from_db()
    assert (user.balance, pen.stock) == (50_000, 10)


def test_a_second_cancel_is_refused(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    shopper = Shopper(user)
    shopper.post(f"/api/orders/{order.pk}/cancel")
    with nothing_changes():
        answer = shopper.post(f"/api/orders/{order.pk}/cancel")
    assert answer.outcome == (409, "order_not_cancellable")
    assert answer.json["detail"] == f"Order {order.pk} is CANCELLED."
    assert answer.json["orderStatus"] == "CANCELLED"


def test_cancelling_another_users_order_is_refused(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    shopper = Shopper(UserFactory())
    with nothing_changes(), statements() as ran:
        answer = shopper.post(f"/api/orders/{order.pk}/cancel")
    assert answer.outcome == (404, "order_not_found")
    assert len(ran) == 1


@pytest.mark.parametrize("number", ["999999999", "0", "9" * 18])
def test_cancelling_an_unknown_order_is_refused(user: User, number: str) -> None:
    assert Shopper(user).post(f"/api/orders/{number}/cancel").outcome == (404, "order_not_found")


def test_staff_cancel_any_order_and_the_customer_gets_the_money(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    clerk = StaffFactory()
    answer = Shopper(clerk).post(f"/api/orders/{order.pk}/cancel", {"reason": "Broken."})
    assert answer.json["userId"] == user.pk
    entry = StaffAction.objects.get()
    assert (entry.actor, entry.action, entry.reason) == (clerk, "Cancelled and refunded", "Broken.")
    user.refresh_from_db()
    clerk.refresh_from_db()
    assert (user.balance, clerk.balance) == (50_000, 0)


@pytest.mark.parametrize(
    ("rights", "body", "outcome"),
    [
        ([], {"reason": "Broken."}, (403, "permission_denied")),
        ([], NO_BODY, (403, "permission_denied")),
        (["view_order"], {"reason": "Broken."}, (403, "permission_denied")),
        (["cancel_order"], NO_BODY, (400, "validation_error")),
        (["cancel_order"], {"reason": "Broken."}, (200, None)),
    ],
    ids=lambda value: "no body" if value is NO_BODY else str(value),
)
def test_staff_cancel_for_another_with_the_right_and_a_reason(
    user: User, pen: Product, rights: list[str], body: Any, outcome: tuple[int, str | None]
) -> None:
    order, clerk = order_of(user, {pen: 1}), StaffFactory(is_superuser=False)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    assert Shopper(clerk).post(f"/api/orders/{order.pk}/cancel", body).outcome == outcome
    assert StaffAction.objects.count() == (outcome[0] == 200)


def test_staff_cancel_their_own_order_as_any_customer(pen: Product) -> None:
    clerk = StaffFactory(is_superuser=False, balance=50_000)
    order = order_of(clerk, {pen: 1})
    assert Shopper(clerk).post(f"/api/orders/{order.pk}/cancel").status == 200
    assert not StaffAction.objects.exists()


def test_a_closed_account_gets_its_money_back(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert Shopper(StaffFactory()).post(f"/api/orders/{order.pk}/cancel", {"reason": "Closed."}).status == 200
    user.refresh_from_db()
    assert user.balance == 50_000


def test_a_refund_may_exceed_the_balance_limit(pen: Product) -> None:
    user = UserFactory(balance=1_000_000_000)
    order = order_of(user, {pen: 1})
    shopper = Shopper(user)
    shopper.post("/api/balance/charge", {"amount": 1_200})
    assert shopper.post(f"/api/orders/{order.pk}/cancel").status == 200
    user.refresh_from_db()
    assert user.balance == 1_000_001_200
