"""Database constraints on orders."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from balances.models import User
from commerce.core.sql import violated_constraint
from coupons.models import UserCoupon
from orders.models import Order, OrderItem
from products.models import Product
from tests.factories import UserCouponFactory, order_of

pytestmark = pytest.mark.django_db(transaction=True)


def refused_by(model: type[Order] | type[OrderItem], **changes: Any) -> str | None:
    try:
        with transaction.atomic():
            model._default_manager.update(**changes)
    except IntegrityError as error:
        return violated_constraint(error)
    return None


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"paid_amount": 1}, "order_amounts_add_up"),
        ({"discount_amount": 1}, "order_amounts_add_up"),
        ({"discount_amount": 1_201, "paid_amount": -1}, "order_amounts_add_up"),
        ({"discount_amount": -1, "paid_amount": 1_201}, "order_amounts_add_up"),
        ({"total_amount": -1, "paid_amount": -1}, "order_amounts_add_up"),
        ({"discount_amount": 200, "paid_amount": 1_000}, None),
        ({"status": "PROCESSING"}, "order_moments_fit_status"),
        ({"status": "CANCELLED"}, "order_moments_fit_status"),
        ({"status": "LOST"}, "order_moments_fit_status"),
        ({"cancelled_at": F("completed_at")}, "order_moments_fit_status"),
        ({"completed_at": None}, "order_moments_fit_status"),
        ({"status": "CANCELLED", "cancelled_at": F("completed_at")}, None),
        ({"refunded_units": 1}, None),
        ({"refunded_units": 1, "refunded_amount": 1_200}, None),
        ({"refunded_units": 1, "refunded_amount": 1_201}, "order_refunds_fit_status"),
        ({"refunded_units": 1, "refunded_amount": -1}, "order_refunds_fit_status"),
        ({"refunded_amount": 1}, "order_refunds_fit_status"),
        ({"refunded_units": -1}, "order_refunds_fit_status"),
        ({"status": "REFUNDED"}, "order_refunds_fit_status"),
        ({"status": "REFUNDED", "refunded_units": 1, "refunded_amount": 1_199}, "order_refunds_fit_status"),
        ({"status": "REFUNDED", "refunded_units": 1, "refunded_amount": 1_200}, None),
        ({"status": "CANCELLED", "cancelled_at": F("completed_at"), "refunded_units": 1}, "order_refunds_fit_status"),
    ],
    ids=str,
)
def test_inconsistent_orders_are_refused(
    user: User, pen: Product, changes: dict[str, Any], constraint: str | None
) -> None:
    order_of(user, {pen: 1})
    assert refused_by(Order, **changes) == constraint


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"quantity": 0}, "order_item_quantity_positive"),
        ({"unit_price": -1}, "order_item_price_not_negative"),
        ({"refunded_quantity": -1}, "order_item_refunded_within_quantity"),
        ({"refunded_quantity": 2}, "order_item_refunded_within_quantity"),
        ({"refunded_quantity": 1}, None),
        ({"product_id": F("product_id")}, None),
    ],
    ids=str,
)
def test_inconsistent_items_are_refused(
    user: User, pen: Product, changes: dict[str, Any], constraint: str | None
) -> None:
    order_of(user, {pen: 1})
    assert refused_by(OrderItem, **changes) == constraint


def test_a_second_item_of_one_product_is_refused(user: User, pen: Product) -> None:
    item = OrderItem.objects.get(order=order_of(user, {pen: 1}))
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        OrderItem.objects.create(
            order_id=item.order_id, product_id=item.product_id, product_name="Pen", unit_price=1, quantity=1
        )
    assert violated_constraint(error.value) == "order_item_one_line_per_product"


def test_a_coupon_in_two_live_orders_is_refused(user: User, pen: Product) -> None:
    unit: UserCoupon = UserCouponFactory(user=user)
    first, second = order_of(user, {pen: 1}, coupon=unit), order_of(user, {pen: 1})
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        Order.objects.filter(pk=second.pk).update(user_coupon=unit)
    assert violated_constraint(error.value) == "order_one_standing_per_user_coupon"
    Order.objects.filter(pk=first.pk).update(status="CANCELLED", cancelled_at=timezone.now())
    Order.objects.filter(pk=second.pk).update(user_coupon=unit)
    assert Order.objects.filter(user_coupon=unit).count() == 2
