"""`GET /api/orders/{orderId}` and `GET /api/users/orders`."""

import pytest

from balances.models import User
from products.models import Product
from tests.factories import StaffFactory, UserFactory, order_of
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "/api/orders"


def test_another_users_order_is_not_found(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    answer = Shopper(UserFactory()).get(f"{ORDERS}/{order.pk}")
    assert answer.outcome == (404, "order_not_found")
    assert b"1200" not in answer.content


def test_an_unknown_order_is_not_found(user: User) -> None:
    answer = Shopper(user).get(f"{ORDERS}/999999999")
    assert answer.outcome == (404, "order_not_found")
    assert answer.json["detail"] == "You have no order 999999999."


def test_staff_see_any_order(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    assert Shopper(StaffFactory()).get(f"{ORDERS}/{order.pk}").json["userId"] == user.pk


def test_own_orders_are_listed_newest_first_with_one_query(user: User, pen: Product, chair: Product) -> None:
    first = order_of(user, {pen: 1, chair: 1})
    second = order_of(user, {chair: 1})
    order_of(UserFactory(balance=9_999), {pen: 1})
    shopper = Shopper(user)
    with statements() as ran:
        answer = shopper.get("/api/users/orders")
    assert answer.json.keys() == {"next", "previous", "results"}
    assert answer.json["results"] == [
        shopper.get(f"{ORDERS}/{second.pk}").json,
        shopper.get(f"{ORDERS}/{first.pk}").json,
    ]
    assert [len(order["items"]) for order in answer.json["results"]] == [1, 2]
    assert len(ran) == 1


def test_the_list_is_filtered_by_status(user: User, pen: Product) -> None:
    kept, cancelled = order_of(user, {pen: 1}), order_of(user, {pen: 1})
    shopper = Shopper(user)
    shopper.post(f"{ORDERS}/{cancelled.pk}/cancel")

    def listed(status: str) -> list[int]:
        return [order["id"] for order in shopper.get("/api/users/orders", status=status).json["results"]]

    assert listed("COMPLETED") == [kept.pk]
    assert listed("CANCELLED") == [cancelled.pk]
    assert listed("PROCESSING") == []


@pytest.mark.parametrize("status", ["completed", "LOST", ""])
def test_an_unknown_status_is_refused(user: User, status: str) -> None:
    answer = Shopper(user).get("/api/users/orders", status=status)
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("status", "invalid_choice")]


def test_staff_list_any_users_orders(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 1})
    answer = Shopper(StaffFactory()).get("/api/users/orders", userId=user.pk)
    assert [each["id"] for each in answer.json["results"]] == [order.pk]


def test_listing_another_users_orders_is_forbidden(user: User) -> None:
    assert Shopper(UserFactory()).get("/api/users/orders", userId=user.pk).outcome == (403, "permission_denied")
