"""`/api/reservations`, and orders that are paid from one."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from balances.models import LedgerEntry, User
from commerce.core import sql
from coupons.models import DiscountType
from orders import services as order_services
from orders.models import Order
from products.models import Product, StockMovement
from reservations import selectors
from reservations.models import Reservation
from tests.books import broken_rules
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory
from tests.groups import round_trips
from tests.shop_state import nothing_changes
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

RESERVATIONS, ORDERS = "/api/reservations", "/api/orders"


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=1_200, stock=10)


@pytest.fixture
def chair() -> Product:
    return ProductFactory(name="Chair", price=15_000, stock=5)


def items(*lines: tuple[Product, int]) -> list[dict[str, int]]:
    return [{"productId": product.pk, "quantity": quantity} for product, quantity in lines]


def reserves(user: User, *lines: tuple[Product, int], key: str | None = None) -> Answer:
    return Shopper(user).post(RESERVATIONS, {"items": items(*lines)}, key=key)


def held(user: User, *lines: tuple[Product, int]) -> int:
    """Make a reservation; returns its id."""
    answer = reserves(user, *lines)
    assert answer.status == 200, answer
    number: int = answer.json["id"]
    return number


def releases(user: User, reservation_id: int) -> Answer:
    return Shopper(user).send("DELETE", f"{RESERVATIONS}/{reservation_id}")


def pays(user: User, reservation_id: int, **more: Any) -> Answer:
    return Shopper(user).post(ORDERS, {"reservationId": reservation_id, **more})


def orders(user: User, *lines: tuple[Product, int]) -> Answer:
    return Shopper(user).post(ORDERS, {"items": items(*lines)})


def let_time_pass(reservation_id: int) -> None:
    """Let the reservation expire now."""
    sql.execute(
        "UPDATE reservation SET created_at = created_at - interval '10 minutes', expires_at = now() WHERE id = %s",
        [reservation_id],
    )


def units(product: Product) -> tuple[int, int]:
    """Units in stock, and held units."""
    product.refresh_from_db()
    return product.stock, product.held


def status_of(reservation_id: int) -> str:
    return Reservation.objects.values_list("status", flat=True).get(pk=reservation_id)


class TestHolding:
    """`POST /api/reservations`."""

    def test_units_are_held_for_ten_minutes(self, user: User, pen: Product, chair: Product) -> None:
        with round_trips() as trips:
            answer = reserves(user, (chair, 1), (pen, 3))
        reservation = Reservation.objects.get()
        assert reservation.expires_at - reservation.created_at == timedelta(minutes=10)
        assert answer.status == 200
        assert answer.json == {
            "id": reservation.pk,
            "userId": user.pk,
            "status": "HELD",
            "items": [{"productId": chair.pk, "quantity": 1}, {"productId": pen.pk, "quantity": 3}],
            "createdAt": timezone.localtime(reservation.created_at).isoformat(),
            "expiresAt": timezone.localtime(reservation.expires_at).isoformat(),
            "endedAt": None,
            "orderId": None,
        }
        assert (units(pen), units(chair)) == ((10, 3), (5, 1))
        assert len(trips.postgresql) == 2
        assert not StockMovement.objects.filter(reason="SALE").exists()
        assert broken_rules() == set()

    def test_held_units_are_not_shown_and_not_sold_to_others(self, user: User, pen: Product) -> None:
        held(user, (pen, 8))
        other = UserFactory(balance=50_000)
        assert Shopper().get(f"/api/products/{pen.pk}").json["stock"] == 2
        with nothing_changes():
            refused = orders(other, (pen, 3))
        assert refused.outcome == (400, "out_of_stock")
        assert refused.json["items"] == [{"productId": pen.pk, "requested": 3, "available": 2}]
        with nothing_changes():
            assert reserves(other, (pen, 3)).json["items"] == [{"productId": pen.pk, "requested": 3, "available": 2}]
        assert orders(other, (pen, 2)).status == 200
        assert units(pen) == (8, 8)
        assert Shopper().get("/api/products", inStock="true").json["results"] == []
        assert Shopper().get("/api/products").json["results"][0]["stock"] == 0
        assert broken_rules() == set()

    def test_all_items_or_none(self, user: User, pen: Product, chair: Product) -> None:
        with nothing_changes():
            refused = reserves(user, (pen, 1), (chair, 6))
        assert refused.json["items"] == [{"productId": chair.pk, "requested": 6, "available": 5}]

    def test_the_next_one_replaces_it(self, user: User, pen: Product, chair: Product) -> None:
        first = held(user, (pen, 10))
        second = reserves(user, (pen, 10), (chair, 2))
        assert second.status == 200
        assert (units(pen), units(chair)) == ((10, 10), (5, 2))
        assert (status_of(first), status_of(second.json["id"])) == ("REPLACED", "HELD")
        assert broken_rules() == set()

    def test_if_the_next_one_is_refused_it_stays(self, user: User, pen: Product, chair: Product) -> None:
        first = held(user, (pen, 10))
        with nothing_changes():
            assert reserves(user, (pen, 11)).outcome == (400, "out_of_stock")
            assert reserves(user, (chair, 6)).outcome == (400, "out_of_stock")
        assert status_of(first) == "HELD"

    def test_an_expired_one_ends_as_expired_not_replaced(self, user: User, pen: Product) -> None:
        first = held(user, (pen, 10))
        let_time_pass(first)
        second = held(user, (pen, 10))
        assert (status_of(first), status_of(second)) == ("EXPIRED", "HELD")
        assert units(pen) == (10, 10)

    def test_the_same_key_holds_once(self, user: User, pen: Product) -> None:
        first = reserves(user, (pen, 2), key="cart")
        again = reserves(user, (pen, 2), key="cart")
        assert (first.content, again.replayed) == (again.content, True)
        assert reserves(user, (pen, 3), key="cart").outcome == (422, "idempotency_key_reused")
        assert (units(pen), Reservation.objects.count()) == ((10, 2), 1)

    def test_a_refusal_is_replayed_as_well(self, user: User, pen: Product) -> None:
        assert reserves(user, (pen, 11), key="cart").outcome == (400, "out_of_stock")
        sql.execute("UPDATE product SET stock = 11 WHERE id = %s", [pen.pk])
        assert reserves(user, (pen, 11), key="cart").outcome == (400, "out_of_stock")

    @pytest.mark.parametrize(
        "body", [{}, {"items": []}, {"items": [{"productId": 1, "quantity": 0}]}, {"reservationId": 1}]
    )
    def test_an_invalid_body_is_refused(self, user: User, body: Any) -> None:
        with nothing_changes():
            assert Shopper(user).post(RESERVATIONS, body).outcome == (400, "validation_error")

    def test_a_product_not_for_sale_is_refused(self, user: User) -> None:
        gone = ProductFactory(is_active=False)
        with nothing_changes():
            assert reserves(user, (gone, 1)).outcome == (404, "product_not_found")

    def test_a_closed_account_is_refused(self, user: User, pen: Product) -> None:
        shopper = Shopper(user)
        user.is_active = False
        user.save()
        answer = shopper.post(RESERVATIONS, {"items": items((pen, 1))})
        assert answer.status in (401, 404)
        assert units(pen) == (10, 0)


class TestReading:
    """`GET /api/reservations` and `GET /api/reservations/{reservationId}`."""

    def test_the_list_has_the_live_reservation(self, user: User, pen: Product) -> None:
        shopper = Shopper(user)
        assert shopper.get(RESERVATIONS).json == {"results": []}
        made = reserves(user, (pen, 2)).json
        assert shopper.get(RESERVATIONS).json == {"results": [made]}
        assert shopper.get(f"{RESERVATIONS}/{made['id']}").json == made
        let_time_pass(made["id"])
        assert shopper.get(RESERVATIONS).json == {"results": []}
        over = shopper.get(f"{RESERVATIONS}/{made['id']}").json
        assert (over["status"], over["endedAt"]) == ("EXPIRED", None)

    def test_another_customers_is_not_found(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        other = UserFactory(balance=50_000)
        with nothing_changes():
            assert Shopper(other).get(f"{RESERVATIONS}/{number}").outcome == (404, "reservation_not_found")
            assert releases(other, number).outcome == (404, "reservation_not_found")
            assert pays(other, number).outcome == (404, "reservation_not_found")
        assert Shopper(other).get(RESERVATIONS).json == {"results": []}
        assert Shopper().get(RESERVATIONS).outcome == (401, "not_authenticated")


class TestReleasing:
    """`DELETE /api/reservations/{reservationId}`."""

    def test_its_units_become_available(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 10))
        answer = releases(user, number)
        assert (answer.status, answer.json["status"]) == (200, "RELEASED")
        assert answer.json["endedAt"] is not None
        assert units(pen) == (10, 0)
        assert broken_rules() == set()

    def test_twice_is_once(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 10))
        first = releases(user, number)
        with nothing_changes():
            assert releases(user, number).json == first.json
        assert units(pen) == (10, 0)

    def test_an_expired_one_ends_as_expired(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 10))
        let_time_pass(number)
        assert releases(user, number).json["status"] == "EXPIRED"
        assert units(pen) == (10, 0)

    def test_a_paid_one_is_refused(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        order = pays(user, number).json
        with nothing_changes():
            refused = releases(user, number)
        assert refused.outcome == (400, "reservation_expired")
        assert (refused.json["reservationStatus"], refused.json["orderId"]) == ("PAID", order["id"])


class TestPaying:
    """`POST /api/orders` with a `reservationId`."""

    def test_exactly_its_items_are_bought(self, user: User, pen: Product, chair: Product) -> None:
        number = held(user, (chair, 1), (pen, 3))
        with round_trips() as trips:
            answer = pays(user, number)
        assert answer.status == 200
        assert [(item["productId"], item["quantity"]) for item in answer.json["items"]] == [(chair.pk, 1), (pen.pk, 3)]
        assert answer.json["paidAmount"] == 18_600
        assert (units(pen), units(chair)) == ((7, 0), (4, 0))
        assert len(trips.postgresql) == 2
        reservation = Reservation.objects.get()
        order = Order.objects.get()
        assert (reservation.status, reservation.order_id, reservation.ended_at) == ("PAID", order.pk, order.created_at)
        assert broken_rules() == set()

    def test_with_a_coupon(self, user: User, pen: Product) -> None:
        coupon = CouponFactory(discount_type=DiscountType.FIXED, discount_value=500)
        number = held(user, (pen, 1))
        answer = pays(user, number, userCouponId=UserCouponFactory(user=user, coupon=coupon).pk)
        assert (answer.status, answer.json["paidAmount"]) == (200, 700)

    def test_at_the_current_price(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 1))
        sql.execute("UPDATE product SET price = 1300 WHERE id = %s", [pen.pk])
        assert pays(user, number).json["paidAmount"] == 1_300

    def test_after_its_expiry_it_is_refused(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        let_time_pass(number)
        with nothing_changes():
            refused = pays(user, number)
        assert refused.outcome == (400, "reservation_expired")
        assert (refused.json["reservationStatus"], "orderId" in refused.json) == ("EXPIRED", False)

    def test_once(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        order = pays(user, number).json
        with nothing_changes():
            refused = pays(user, number)
        assert refused.outcome == (400, "reservation_expired")
        assert (refused.json["reservationStatus"], refused.json["orderId"]) == ("PAID", order["id"])

    def test_after_a_refusal_it_is_still_held(self, pen: Product) -> None:
        poor = UserFactory(balance=1_000)
        number = held(poor, (pen, 2))
        with nothing_changes():
            assert pays(poor, number).outcome == (400, "insufficient_balance")
        assert LedgerEntry.objects.count() == 1
        assert status_of(number) == "HELD"

    def test_a_product_no_longer_for_sale_is_refused(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        sql.execute("UPDATE product SET is_active = false WHERE id = %s", [pen.pk])
        with nothing_changes():
            assert pays(user, number).outcome == (404, "product_not_found")

    def test_the_same_key_pays_once(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        body = {"reservationId": number}
        first, again = (Shopper(user).post(ORDERS, body, key="pay") for _ in range(2))
        assert (first.status, first.content, again.replayed) == (200, again.content, True)
        assert (units(pen), Order.objects.count()) == ((8, 0), 1)

    def test_items_or_a_reservation(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        with nothing_changes():
            both = pays(user, number, items=items((pen, 2)))
            neither = Shopper(user).post(ORDERS, {"userCouponId": 1})
        assert both.json["errors"][0]["field"] == "items"
        assert both.json["errors"][0]["code"] == "not_with_reservation"
        assert (neither.json["errors"][0]["field"], neither.json["errors"][0]["code"]) == ("items", "required")

    def test_cancelling_the_order_makes_its_units_available(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        order = pays(user, number).json
        assert Shopper(user).post(f"{ORDERS}/{order['id']}/cancel").status == 200
        assert units(pen) == (10, 0)
        assert broken_rules() == set()


class TestNextTaker:
    """An order that needs the units of expired reservations ends exactly these reservations."""

    def test_an_order(self, user: User, pen: Product, chair: Product) -> None:
        over = held(UserFactory(), (pen, 6), (chair, 5))
        live = held(UserFactory(), (pen, 1))
        let_time_pass(over)
        with round_trips() as trips:
            assert orders(user, (pen, 9)).status == 200
        assert (units(pen), units(chair)) == ((1, 1), (5, 0))
        assert (status_of(over), status_of(live)) == ("EXPIRED", "HELD")
        # The first attempt, which wrote nothing, and the second one.
        assert len(trips.postgresql) == 4
        assert broken_rules() == set()

    def test_a_reservation(self, user: User, pen: Product) -> None:
        over = held(UserFactory(), (pen, 10))
        let_time_pass(over)
        held(user, (pen, 10))
        assert (units(pen), status_of(over)) == ((10, 10), "EXPIRED")

    def test_a_request_with_enough_stock_ends_no_reservation(self, user: User, pen: Product) -> None:
        over = held(UserFactory(), (pen, 6))
        let_time_pass(over)
        with round_trips() as trips:
            assert orders(user, (pen, 4)).status == 200
        assert len(trips.postgresql) == 2
        assert (units(pen), status_of(over)) == ((6, 6), "HELD")

    def test_a_refusal_reports_available_units_and_ends_nothing(self, user: User, pen: Product) -> None:
        over, live = held(UserFactory(), (pen, 6)), held(UserFactory(), (pen, 4))
        let_time_pass(over)
        with nothing_changes():
            refused = orders(user, (pen, 7))
        assert refused.json["items"] == [{"productId": pen.pk, "requested": 7, "available": 6}]
        assert (status_of(over), status_of(live)) == ("HELD", "HELD")

    def test_one_that_expires_between_query_and_order(
        self, user: User, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = held(UserFactory(), (pen, 10))
        asked = []

        def ask(product_ids: Any) -> Any:
            found = selectors.expired_on(product_ids)
            asked.append(len(found.reservations))
            if len(asked) == 1:
                let_time_pass(number)
                return type(found)(found.reservations, timezone.now())
            return found

        monkeypatch.setattr(order_services, "expired_on", ask)
        assert orders(user, (pen, 10)).status == 200
        assert asked == [0, 1]


class TestDatabase:
    """Constraints of the database."""

    @pytest.mark.parametrize("change", [{"held": 11}, {"held": -1}, {"stock": 1}])
    def test_holding_more_than_the_stock_violates_a_constraint(
        self, user: User, pen: Product, change: dict[str, int]
    ) -> None:
        held(user, (pen, 2))
        with pytest.raises(IntegrityError, match="product_held_within_stock"):
            Product.objects.update(**change)

    def test_a_reservation_ends_once(self, user: User, pen: Product) -> None:
        number = held(user, (pen, 2))
        releases(user, number)
        for statement in ("UPDATE reservation SET ended_at = now()", "UPDATE reservation_item SET quantity = 1"):
            with pytest.raises(IntegrityError, match="a reservation ends once"):
                sql.execute(statement)

    def test_deleting_one_that_holds_units_is_refused(self, user: User, pen: Product) -> None:
        held(user, (pen, 2))
        with pytest.raises(IntegrityError, match="a reservation ends once"), connection.cursor() as cursor:
            cursor.execute("DELETE FROM reservation")
