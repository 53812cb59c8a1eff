"""`purchaseLimit` of a product: the units that one customer may buy in total."""

import pytest

from balances.models import User
from products.models import Product
from tests.factories import ProductFactory, StaffFactory, UserFactory
from tests.groups import round_trips
from tests.shop_state import nothing_changes
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


@pytest.fixture
def rare() -> Product:
    return ProductFactory(name="Rare", price=100, stock=100, purchase_limit=3)


def buys(user: User, product: Product, quantity: int, **more: object) -> Answer:
    body = {"items": [{"productId": product.pk, "quantity": quantity}], **more}
    return Shopper(user).post("/api/orders", body)


def test_a_customer_buys_up_to_the_limit(user: User, rare: Product) -> None:
    assert buys(user, rare, 2).status == 200
    with nothing_changes():
        answer = buys(user, rare, 2)
    assert answer.outcome == (400, "purchase_limit_exceeded")
    assert {name: answer.json[name] for name in ("productId", "limit", "alreadyBought")} == {
        "productId": rare.pk,
        "limit": 3,
        "alreadyBought": 2,
    }
    assert answer.json["detail"] == f"One customer may buy 3 of product {rare.pk}, and you have 2 already."
    assert buys(user, rare, 1).status == 200
    assert buys(user, rare, 1).outcome == (400, "purchase_limit_exceeded")


def test_a_first_order_above_the_limit_is_refused(user: User, rare: Product) -> None:
    answer = buys(user, rare, 4)
    assert (answer.outcome, answer.json["alreadyBought"]) == ((400, "purchase_limit_exceeded"), 0)


def test_the_limit_applies_to_each_customer(user: User, rare: Product) -> None:
    assert buys(user, rare, 3).status == 200
    assert buys(UserFactory(balance=1_000), rare, 3).status == 200


def test_cancelled_and_refunded_units_do_not_count(user: User, rare: Product) -> None:
    first, second = buys(user, rare, 2).json, buys(user, rare, 1).json
    Shopper(user).post(f"/api/orders/{second['id']}/cancel")
    assert buys(user, rare, 2).outcome == (400, "purchase_limit_exceeded")
    body = {"items": [{"productId": rare.pk, "quantity": 1}], "reason": "Broken.", "restock": False}
    assert Shopper(StaffFactory()).post(f"/api/orders/{first['id']}/refunds", body).status == 200
    assert buys(user, rare, 2).status == 200
    answer = buys(user, rare, 1)
    assert (answer.outcome, answer.json["alreadyBought"]) == ((400, "purchase_limit_exceeded"), 3)
    assert (
        Shopper(StaffFactory()).post(f"/api/orders/{first['id']}/refunds", body).json["order"]["status"] == "REFUNDED"
    )
    assert buys(user, rare, 1).status == 200


def test_a_limit_counts_earlier_orders(user: User) -> None:
    pen = ProductFactory(price=100, stock=100)
    assert buys(user, pen, 5).status == 200
    Product.objects.filter(pk=pen.pk).update(purchase_limit=5)
    answer = buys(user, pen, 1)
    assert (answer.outcome, answer.json["alreadyBought"]) == ((400, "purchase_limit_exceeded"), 5)
    Product.objects.filter(pk=pen.pk).update(purchase_limit=None)
    assert buys(user, pen, 1).status == 200


def test_a_cart_above_a_limit_is_refused_as_a_whole(user: User, rare: Product) -> None:
    pen = ProductFactory(price=100, stock=100)
    items = [{"productId": pen.pk, "quantity": 1}, {"productId": rare.pk, "quantity": 4}]
    with nothing_changes():
        answer = Shopper(user).post("/api/orders", {"items": items})
    assert (answer.outcome, answer.json["productId"]) == ((400, "purchase_limit_exceeded"), rare.pk)


class TestReservations:
    """More units than the limit can be reserved; ordering them is refused."""

    def holds(self, user: User, product: Product, quantity: int) -> int:
        body = {"items": [{"productId": product.pk, "quantity": quantity}]}
        answer = Shopper(user).post("/api/reservations", body)
        assert answer.status == 200, answer
        return int(answer.json["id"])

    def pays(self, user: User, reservation_id: int) -> Answer:
        return Shopper(user).post("/api/orders", {"reservationId": reservation_id})

    def test_what_is_held_is_paid_within_the_limit(self, user: User, rare: Product) -> None:
        assert buys(user, rare, 1).status == 200
        assert self.pays(user, self.holds(user, rare, 2)).status == 200
        answer = buys(user, rare, 1)
        assert (answer.outcome, answer.json["alreadyBought"]) == ((400, "purchase_limit_exceeded"), 3)

    def test_more_than_the_limit_is_held_and_not_paid(self, user: User, rare: Product) -> None:
        number = self.holds(user, rare, 4)
        with nothing_changes():
            answer = self.pays(user, number)
        assert answer.outcome == (400, "purchase_limit_exceeded")
        assert {name: answer.json[name] for name in ("productId", "limit", "alreadyBought")} == {
            "productId": rare.pk,
            "limit": 3,
            "alreadyBought": 0,
        }
        # The reservation is unchanged, and can be replaced by a smaller one.
        rare.refresh_from_db()
        assert (rare.stock, rare.held) == (100, 4)
        assert self.pays(user, self.holds(user, rare, 3)).status == 200
        rare.refresh_from_db()
        assert (rare.stock, rare.held) == (97, 0)

    def test_it_can_be_paid_once_units_are_back(self, user: User, rare: Product) -> None:
        order = buys(user, rare, 2).json
        number = self.holds(user, rare, 2)
        answer = self.pays(user, number)
        assert (answer.outcome, answer.json["alreadyBought"]) == ((400, "purchase_limit_exceeded"), 2)
        assert Shopper(user).post(f"/api/orders/{order['id']}/cancel").status == 200
        assert self.pays(user, number).status == 200

    def test_a_limit_that_is_set_while_units_are_held_applies(self, user: User) -> None:
        pen = ProductFactory(price=100, stock=100)
        number = self.holds(user, pen, 5)
        Product.objects.filter(pk=pen.pk).update(purchase_limit=4)
        with nothing_changes():
            assert self.pays(user, number).outcome == (400, "purchase_limit_exceeded")


def test_the_product_shows_its_limit(rare: Product) -> None:
    pen = ProductFactory()
    assert Shopper().get(f"/api/products/{rare.pk}").json["purchaseLimit"] == 3
    assert Shopper().get(f"/api/products/{pen.pk}").json["purchaseLimit"] is None
    assert [each["purchaseLimit"] for each in Shopper().get("/api/products").json["results"]] == [3, None]


def test_a_product_without_a_limit_needs_no_extra_statement(user: User, rare: Product) -> None:
    buys(user, rare, 1)
    with round_trips() as trips:
        buys(user, ProductFactory(price=100), 1)
    plain = [len(sent) for sent in trips.postgresql]
    with round_trips() as trips:
        buys(user, rare, 1)
    assert [len(sent) for sent in trips.postgresql] == [plain[0] + 1, plain[1]]
