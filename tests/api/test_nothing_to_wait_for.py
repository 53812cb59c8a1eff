"""A queue that is for nothing: whoever would only be told that nothing is left is told so before the wait.

The lock of the coupon or product is held elsewhere, for longer than anybody waits.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from balances.models import User
from commerce.core.locks import coupon_lock, product_lock
from coupons.models import Coupon
from products.models import Product
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory
from tests.shop_state import nothing_changes, statements
from tests.shopper import Answer, Shopper
from tests.together import lock_held

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "rush-1"


@pytest.fixture(autouse=True)
def short_wait(settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0.05


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


class TestCoupon:
    @pytest.fixture
    def last(self) -> Iterator[Coupon]:
        """A coupon of which one unit is left."""
        coupon = CouponFactory(total_quantity=1)
        with lock_held(coupon_lock(coupon.pk)):
            yield coupon

    @staticmethod
    def issue(user: User, coupon: Coupon) -> Answer:
        return Shopper(user).post(f"/api/coupons/{coupon.pk}/issue")

    def test_with_a_unit_left_everybody_waits(self, user: User, last: Coupon) -> None:
        """The control of the others: the lock is held."""
        with nothing_changes():
            assert self.issue(user, last).outcome == (503, "lock_timeout")

    def test_sold_out_is_told_at_once_by_one_statement(self, user: User, last: Coupon) -> None:
        UserCouponFactory(coupon=last)
        with nothing_changes(), statements() as ran:
            assert self.issue(user, last).outcome == (400, "coupon_sold_out")
        assert len(ran) == 1

    def test_who_has_one_is_told_so(self, user: User, last: Coupon) -> None:
        UserCouponFactory(coupon=last, user=user)
        assert self.issue(user, last).outcome == (400, "coupon_already_issued")

    def test_outside_its_window_it_is_not_open(self, user: User, last: Coupon) -> None:
        Coupon.objects.update(issue_ends_at=timezone.now() - timedelta(seconds=1))
        assert self.issue(user, last).outcome == (400, "coupon_not_open")

    def test_a_closed_account_is_not_found(self, user: User, last: Coupon) -> None:
        shopper = Shopper(user)
        User.objects.update(is_active=False)
        assert shopper.post(f"/api/coupons/{last.pk}/issue").outcome == (404, "user_not_found")

    def test_one_that_does_not_exist_is_not_found(self, user: User) -> None:
        with lock_held(coupon_lock(999_999_999)):
            answer = Shopper(user).post("/api/coupons/999999999/issue")
        assert answer.outcome == (404, "coupon_not_found")


def test_a_refusal_without_a_wait_is_kept_for_its_key(user: User) -> None:
    coupon = CouponFactory(total_quantity=1)
    path = f"/api/coupons/{coupon.pk}/issue"
    unit = UserCouponFactory(coupon=coupon)
    with lock_held(coupon_lock(coupon.pk)):
        refused = Shopper(user).post(path, key=KEY)
    unit.delete()
    Coupon.objects.update(issued_count=0)
    again = Shopper(user).post(path, key=KEY)
    assert (again.outcome, again.replayed) == ((400, "coupon_sold_out"), True)
    assert again.content == refused.content


def test_who_got_the_last_coupon_hears_so_again(user: User) -> None:
    coupon = CouponFactory(total_quantity=1)
    path = f"/api/coupons/{coupon.pk}/issue"
    first = Shopper(user).post(path, key=KEY)
    with lock_held(coupon_lock(coupon.pk)), nothing_changes():
        again = Shopper(user).post(path, key=KEY)
    assert (first.status, again.status, again.replayed) == (200, 200, True)
    assert again.content == first.content


class TestOrder:
    @pytest.fixture
    def last(self) -> Iterator[Product]:
        """A product of which one unit is left."""
        product = ProductFactory(price=1_000, stock=1)
        with lock_held(product_lock(product.pk)):
            yield product

    @staticmethod
    def order(user: User, *products: Product, key: str | None = None) -> Answer:
        items = [{"productId": product.pk, "quantity": 1} for product in products]
        return Shopper(user).post("/api/orders", {"items": items}, key=key)

    def test_with_a_unit_left_everybody_waits(self, user: User, last: Product) -> None:
        """The control of the others: the lock is held."""
        with nothing_changes():
            assert self.order(user, last).outcome == (503, "lock_timeout")

    def test_out_of_stock_is_told_at_once_by_one_statement(self, user: User, last: Product) -> None:
        gone = ProductFactory(stock=0)
        with nothing_changes(), statements() as ran:
            answer = self.order(user, last, gone)
        assert answer.outcome == (400, "out_of_stock")
        assert answer.json["items"] == [{"productId": gone.pk, "requested": 1, "available": 0}]
        assert len(ran) == 1

    def test_a_product_that_is_not_for_sale_is_not_found(self, user: User, last: Product) -> None:
        assert self.order(user, last, ProductFactory(is_active=False)).outcome == (404, "product_not_found")


def test_who_bought_the_last_unit_hears_so_again(user: User) -> None:
    product = ProductFactory(price=1_000, stock=1)
    first = TestOrder.order(user, product, key=KEY)
    with lock_held(product_lock(product.pk)), nothing_changes():
        again = TestOrder.order(user, product, key=KEY)
    assert (first.status, again.status, again.replayed) == (200, 200, True)
    assert again.content == first.content
