"""`POST /api/orders`."""

import json
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from balances.models import LedgerEntry, User
from commerce.audit.record import Staff
from commerce.outbox.models import OutboxMessage
from coupons.models import DiscountType
from orders.models import Order
from products import services
from products.models import Product, StockMovement
from products.rules import HIGHEST_PRICE_WON
from tests.events import completed_id
from tests.factories import (
    CouponFactory,
    ProductFactory,
    StaffFactory,
    UserCouponFactory,
    UserFactory,
    expired_coupon_of,
    order_of,
)
from tests.groups import round_trips
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "/api/orders"


def items(*lines: tuple[Product, int]) -> list[dict[str, int]]:
    return [{"productId": product.pk, "quantity": quantity} for product, quantity in lines]


class TestPlacing:
    """Effects of a valid order."""

    def test_an_order_is_placed_and_paid(self, user: User, pen: Product, chair: Product) -> None:
        with round_trips() as trips:
            answer = Shopper(user).post(ORDERS, {"items": items((chair, 1), (pen, 3))})
        order = Order.objects.get()
        placed_at = timezone.localtime(order.created_at).isoformat()
        assert answer.status == 200
        assert answer.json == {
            "id": order.pk,
            "userId": user.pk,
            "status": "COMPLETED",
            "items": [
                {
                    "productId": chair.pk,
                    "productName": "Chair",
                    "unitPrice": 15_000,
                    "quantity": 1,
                    "subtotal": 15_000,
                    "refundedQuantity": 0,
                },
                {
                    "productId": pen.pk,
                    "productName": "Pen",
                    "unitPrice": 1_200,
                    "quantity": 3,
                    "subtotal": 3_600,
                    "refundedQuantity": 0,
                },
            ],
            "totalAmount": 18_600,
            "discountAmount": 0,
            "paidAmount": 18_600,
            "refundedAmount": 0,
            "userCouponId": None,
            "createdAt": placed_at,
            "completedAt": placed_at,
            "cancelledAt": None,
        }
        [reads, writes] = trips.postgresql
        assert (len(reads), reads[0]) == (5, "BEGIN")
        assert (len(writes), writes[1]) == (2, "COMMIT")
        assert (trips.locks, trips.cache) == (2, 1)

    def test_stock_money_and_movements_add_up(self, user: User, pen: Product, chair: Product) -> None:
        order_id = Shopper(user).post(ORDERS, {"items": items((chair, 1), (pen, 3))}).json["id"]
        pen.refresh_from_db()
        chair.refresh_from_db()
        user.refresh_from_db()
        assert (pen.stock, chair.stock, user.balance) == (7, 4, 31_400)
        sales = StockMovement.objects.filter(order_id=order_id).values_list("product_id", "reason", "quantity")
        assert set(sales) == {(chair.pk, "SALE", -1), (pen.pk, "SALE", -3)}
        payment = LedgerEntry.objects.get(order_id=order_id)
        assert (payment.type, payment.amount, payment.balance_after) == ("PAYMENT", -18_600, 31_400)

    def test_the_order_reads_as_in_the_response(self, user: User, pen: Product, chair: Product) -> None:
        shopper = Shopper(user)
        placed = shopper.post(ORDERS, {"items": items((chair, 1), (pen, 3))}).json
        with statements() as ran:
            answer = shopper.get(f"{ORDERS}/{placed['id']}")
        assert answer.json == placed
        assert len(ran) == 1

    def test_an_order_keeps_the_names_and_prices_it_was_placed_at(self, user: User, pen: Product) -> None:
        shopper = Shopper(user)
        placed = shopper.post(ORDERS, {"items": items((pen, 1))}).json
        pen.name, pen.price = "Gold pen", 99_000
        services.save_product(pen, by=Staff(StaffFactory().pk))
        assert shopper.get(f"{ORDERS}/{placed['id']}").json == placed

    def test_the_event_has_the_same_order_as_the_api(self, user: User, pen: Product) -> None:
        placed = Shopper(user).post(ORDERS, {"items": items((pen, 1))}).json
        messages = {(each.type, each.destination): each for each in OutboxMessage.objects.all()}
        assert messages.keys() == {
            ("balance-changed", "kafka"),
            ("order-completed", "kafka"),
            ("order-completed", "data-platform"),
        }
        for destination in ("kafka", "data-platform"):
            message = messages["order-completed", destination]
            event = json.loads(message.payload)
            assert event["data"] == placed
            assert (event["id"], event["type"]) == (completed_id(placed), "order-completed")
            assert (message.event_id, message.aggregate_id) == (event["id"], str(user.pk))

    def test_without_a_data_platform_no_message_is_written(self, user: User, pen: Product, settings: Settings) -> None:
        settings.DATA_PLATFORM_URL = ""
        Shopper(user).post(ORDERS, {"items": items((pen, 1))})
        assert {each.destination for each in OutboxMessage.objects.all()} == {"kafka"}

    def test_the_last_unit_can_be_bought(self, user: User, pen: Product) -> None:
        assert Shopper(user).post(ORDERS, {"items": items((pen, 10))}).status == 200
        pen.refresh_from_db()
        assert pen.stock == 0

    def test_the_last_won_can_be_spent(self, pen: Product) -> None:
        user = UserFactory(balance=1_200)
        assert Shopper(user).post(ORDERS, {"items": items((pen, 1))}).status == 200
        user.refresh_from_db()
        assert user.balance == 0

    def test_the_largest_cart_is_accepted(self) -> None:
        user = UserFactory(balance=1_000_000)
        products = [ProductFactory(price=10, stock=1_000) for _ in range(100)]
        with round_trips() as trips:
            answer = Shopper(user).post(ORDERS, {"items": items(*((product, 1_000) for product in products))})
        assert (answer.status, answer.json["totalAmount"]) == (200, 1_000_000)
        assert [len(sent) for sent in trips.postgresql] == [5, 2]

    def test_a_free_product_writes_a_payment_of_zero(self) -> None:
        user = UserFactory()
        answer = Shopper(user).post(ORDERS, {"items": items((ProductFactory(price=0), 1))})
        assert (answer.status, answer.json["paidAmount"]) == (200, 0)
        assert LedgerEntry.objects.get(user=user).amount == 0

    @pytest.mark.parametrize(
        ("item", "order"), [({"price": 1}, {}), ({"subtotal": 1}, {}), ({}, {"userId": 1}), ({}, {"paidAmount": 1})]
    )
    def test_read_only_fields_are_refused(
        self, user: User, pen: Product, item: dict[str, int], order: dict[str, int]
    ) -> None:
        body = {"items": [{"productId": pen.pk, "quantity": 1, **item}], **order}
        with nothing_changes():
            refused = Shopper(user).post(ORDERS, body)
        assert refused.outcome == (400, "validation_error")
        assert [error["code"] for error in refused.json["errors"]] == ["unknown_field"]


class TestPlacingWithACoupon:
    """Discounts, and refusals of a coupon."""

    def test_a_fixed_coupon_subtracts_its_value(self, user: User, pen: Product) -> None:
        unit = UserCouponFactory(user=user, coupon=CouponFactory(discount_value=500))
        with round_trips() as trips:
            answer = Shopper(user).post(ORDERS, {"items": items((pen, 2)), "userCouponId": unit.pk})
        assert answer.status == 200
        amounts = [answer.json[name] for name in ("totalAmount", "discountAmount", "paidAmount", "userCouponId")]
        assert amounts == [2_400, 500, 1_900, unit.pk]
        unit.refresh_from_db()
        assert unit.status == "USED"
        assert unit.used_at == Order.objects.get().created_at
        assert [len(sent) for sent in trips.postgresql] == [6, 2]

    @pytest.mark.parametrize(
        ("terms", "quantity", "discount"),
        [
            ((15, None), 1, 180),
            ((33, None), 1, 396),
            ((7, None), 3, 252),
            ((50, 1_000), 3, 1_000),
            ((100, None), 1, 1_200),
        ],
    )
    def test_a_percent_coupon_subtracts_its_share_up_to_its_cap(
        self, user: User, pen: Product, terms: tuple[int, int | None], quantity: int, discount: int
    ) -> None:
        percent, cap = terms
        coupon = CouponFactory(discount_type=DiscountType.PERCENT, discount_value=percent, max_discount=cap)
        unit = UserCouponFactory(user=user, coupon=coupon)
        answer = Shopper(user).post(ORDERS, {"items": items((pen, quantity)), "userCouponId": unit.pk})
        assert (answer.json["discountAmount"], answer.json["paidAmount"]) == (discount, 1_200 * quantity - discount)

    def test_a_share_of_a_won_is_rounded_down(self, user: User) -> None:
        coupon = CouponFactory(discount_type=DiscountType.PERCENT, discount_value=15)
        unit = UserCouponFactory(user=user, coupon=coupon)
        body = {"items": items((ProductFactory(price=999), 1)), "userCouponId": unit.pk}
        assert Shopper(user).post(ORDERS, body).json["discountAmount"] == 149

    def test_a_coupon_subtracts_at_most_the_total(self, user: User, pen: Product) -> None:
        unit = UserCouponFactory(user=user, coupon=CouponFactory(discount_value=90_000))
        answer = Shopper(user).post(ORDERS, {"items": items((pen, 1)), "userCouponId": unit.pk})
        assert (answer.json["discountAmount"], answer.json["paidAmount"]) == (1_200, 0)

    def test_the_minimum_amount_itself_is_enough(self, user: User, pen: Product) -> None:
        unit = UserCouponFactory(user=user, coupon=CouponFactory(min_order_amount=2_400))
        body = {"items": items((pen, 2)), "userCouponId": unit.pk}
        assert Shopper(user).post(ORDERS, body).status == 200

    def test_user_coupon_id_may_be_null(self, user: User, pen: Product) -> None:
        assert Shopper(user).post(ORDERS, {"items": items((pen, 1)), "userCouponId": None}).status == 200

    def _refused(self, user: User, pen: Product, unit_id: int, reason: str, detail: str) -> None:
        shopper = Shopper(user)
        with nothing_changes():
            answer = shopper.post(ORDERS, {"items": items((pen, 1)), "userCouponId": unit_id})
        assert answer.outcome == (400, "coupon_not_usable")
        assert (answer.json["reason"], answer.json["detail"]) == (reason, detail)

    def test_another_users_coupon_is_not_usable(self, user: User, pen: Product) -> None:
        self._refused(user, pen, UserCouponFactory().pk, "not_owned", "You have no such coupon.")

    def test_an_unknown_coupon_is_not_usable(self, user: User, pen: Product) -> None:
        self._refused(user, pen, 2**63 - 1, "not_owned", "You have no such coupon.")

    def test_a_used_coupon_is_not_usable(self, user: User, pen: Product) -> None:
        unit = UserCouponFactory(user=user)
        order_of(user, {pen: 1}, coupon=unit)
        self._refused(user, pen, unit.pk, "used", "This coupon has been used.")

    def test_an_expired_coupon_is_not_usable(self, user: User, pen: Product) -> None:
        self._refused(user, pen, expired_coupon_of(user).pk, "expired", "This coupon has expired.")

    def test_below_its_minimum_a_coupon_is_not_usable(self, user: User, pen: Product) -> None:
        unit = UserCouponFactory(user=user, coupon=CouponFactory(min_order_amount=1_201))
        detail = "The order is below this coupon's minimum amount."
        self._refused(user, pen, unit.pk, "below_minimum", detail)

    def test_a_coupon_id_is_not_the_id_of_the_coupon_held(self, user: User, pen: Product) -> None:
        UserCouponFactory(coupon=CouponFactory())
        unit = UserCouponFactory(user=user, coupon=CouponFactory(id=777))
        self._refused(user, pen, 777 if unit.pk != 777 else 778, "not_owned", "You have no such coupon.")


class TestRefusals:
    """Refused orders have no effect."""

    def test_more_than_the_stock_is_refused(self, user: User, pen: Product, chair: Product) -> None:
        with nothing_changes(), round_trips() as trips:
            answer = Shopper(user).post(ORDERS, {"items": items((chair, 1), (pen, 11))})
        assert answer.outcome == (400, "out_of_stock")
        assert answer.json["items"] == [{"productId": pen.pk, "requested": 11, "available": 10}]
        assert answer.json["detail"] == f"Product {pen.pk} has 10 left, 11 were ordered."
        assert trips.postgresql[-1] == ["COMMIT"]

    def test_every_product_that_is_short_is_named(self, user: User, pen: Product, chair: Product) -> None:
        with nothing_changes():
            answer = Shopper(user).post(ORDERS, {"items": items((chair, 6), (pen, 11))})
        assert answer.outcome == (400, "out_of_stock")
        assert answer.json["items"] == [
            {"productId": pen.pk, "requested": 11, "available": 10},
            {"productId": chair.pk, "requested": 6, "available": 5},
        ]
        assert answer.json["detail"] == "2 products have fewer units in stock than were ordered."

    def test_more_than_the_balance_is_refused(self, pen: Product) -> None:
        user = UserFactory(balance=1_199)
        with nothing_changes():
            answer = Shopper(user).post(ORDERS, {"items": items((pen, 1))})
        assert answer.outcome == (400, "insufficient_balance")
        assert (answer.json["balance"], answer.json["required"]) == (1_199, 1_200)
        assert answer.json["detail"] == "The balance is 1,199 won, 1,200 won are needed."

    def test_a_refused_payment_leaves_the_coupon_unused(self, pen: Product) -> None:
        user = UserFactory(balance=100)
        unit = UserCouponFactory(user=user, coupon=CouponFactory(discount_value=500))
        with nothing_changes():
            answer = Shopper(user).post(ORDERS, {"items": items((pen, 1)), "userCouponId": unit.pk})
        assert answer.outcome == (400, "insufficient_balance")
        assert answer.json["required"] == 700

    def test_the_total_of_the_largest_order_fits_a_bigint(self, user: User) -> None:
        palaces = [ProductFactory(price=HIGHEST_PRICE_WON, stock=1000) for _ in range(100)]
        with nothing_changes():
            answer = Shopper(user).post(ORDERS, {"items": items(*((palace, 1000) for palace in palaces))})
        assert answer.outcome == (400, "insufficient_balance")
        assert answer.json["required"] == 100 * 1000 * HIGHEST_PRICE_WON

    def test_a_price_above_the_highest_is_refused(self) -> None:
        with pytest.raises(IntegrityError, match="product_price_in_range"):
            ProductFactory(price=HIGHEST_PRICE_WON + 1)

    @pytest.mark.parametrize("product_id", [999_999_999, 2**63 - 1])
    def test_an_unknown_product_is_not_found(self, user: User, pen: Product, product_id: int) -> None:
        body = {"items": [*items((pen, 1)), {"productId": product_id, "quantity": 1}]}
        with nothing_changes():
            answer = Shopper(user).post(ORDERS, body)
        assert answer.outcome == (404, "product_not_found")
        assert answer.json["detail"] == f"There is no product {product_id} for sale."

    def test_a_product_that_is_not_for_sale_is_not_found(self, user: User, pen: Product) -> None:
        relic = ProductFactory(is_active=False)
        with nothing_changes():
            answer = Shopper(user).post(ORDERS, {"items": items((pen, 1), (relic, 1))})
        assert answer.outcome == (404, "product_not_found")
        assert answer.json["detail"] == f"There is no product {relic.pk} for sale."

    def test_an_unknown_product_takes_precedence_over_a_shortage(self, user: User, pen: Product) -> None:
        body = {"items": [*items((pen, 999)), {"productId": 999_999_999, "quantity": 1}]}
        assert Shopper(user).post(ORDERS, body).outcome == (404, "product_not_found")

    def test_an_order_of_a_closed_account_is_refused(self, user: User, pen: Product) -> None:
        shopper = Shopper(user)
        User.objects.update(is_active=False)
        with nothing_changes():
            assert shopper.post(ORDERS, {"items": items((pen, 1))}).outcome == (404, "user_not_found")

    def test_an_order_of_a_deleted_account_is_refused(self, pen: Product) -> None:
        user = UserFactory()
        shopper = Shopper(user)
        user.delete()
        with nothing_changes():
            assert shopper.post(ORDERS, {"items": items((pen, 1))}).outcome == (404, "user_not_found")

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            ({}, [("items", "required")]),
            ({"items": []}, [("items", "min_length")]),
            ({"items": None}, [("items", "null")]),
            ({"items": "1"}, [("items", "not_a_list")]),
            ({"items": {"productId": 1, "quantity": 1}}, [("items", "not_a_list")]),
            ({"items": [1]}, [("items.0", "invalid")]),
            ({"items": [{}]}, [("items.0.productId", "required"), ("items.0.quantity", "required")]),
            ({"items": [{"productId": 1, "quantity": 0}]}, [("items.0.quantity", "min_value")]),
            ({"items": [{"productId": 1, "quantity": -1}]}, [("items.0.quantity", "min_value")]),
            ({"items": [{"productId": 1, "quantity": 1_001}]}, [("items.0.quantity", "max_value")]),
            ({"items": [{"productId": 1, "quantity": "1"}]}, [("items.0.quantity", "invalid")]),
            ({"items": [{"productId": 1, "quantity": 1.0}]}, [("items.0.quantity", "invalid")]),
            ({"items": [{"productId": 1, "quantity": True}]}, [("items.0.quantity", "invalid")]),
            ({"items": [{"productId": 0, "quantity": 1}]}, [("items.0.productId", "min_value")]),
            ({"items": [{"productId": 2**63, "quantity": 1}]}, [("items.0.productId", "max_value")]),
            (
                {"items": [{"productId": 1, "quantity": 1}, {"productId": 2, "quantity": 0}]},
                [("items.1.quantity", "min_value")],
            ),
            (
                {"items": [{"productId": 1, "quantity": 1}], "userCouponId": "5"},
                [("userCouponId", "invalid")],
            ),
            (
                {"items": [{"productId": 1, "quantity": 1}], "userCouponId": 0},
                [("userCouponId", "min_value")],
            ),
            (
                {"items": [{"productId": number, "quantity": 1} for number in range(1, 102)]},
                [("items", "max_length")],
            ),
            (
                {"items": [{"productId": number, "quantity": 1} for number in (1, 2, 1)]},
                [("items.2.productId", "unique")],
            ),
            ([], [("", "invalid")]),
            (5, [("", "invalid")]),
            (None, [("", "null")]),
            ("text", [("", "invalid")]),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_an_invalid_body_is_refused(self, user: User, body: Any, errors: list[tuple[str, str]]) -> None:
        with nothing_changes(), statements() as ran:
            answer = Shopper(user).post(ORDERS, body)
        assert answer.outcome == (400, "validation_error")
        assert [(error["field"], error["code"]) for error in answer.json["errors"]] == errors
        assert all(error["message"] for error in answer.json["errors"])
        assert ran == []
