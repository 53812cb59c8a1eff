"""Tokens after their account was closed, lost permissions or changed its password."""

from datetime import timedelta

import jwt
import pytest
from django.conf import settings as project_settings
from django.test import Client

from balances.models import User
from commerce.api import authentication
from commerce.api.authentication import tokens_for
from products.models import Product
from tests.factories import CouponFactory, StaffFactory, UserFactory, order_of
from tests.shop_state import nothing_changes, statements
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "right horse"


@pytest.fixture
def customer() -> User:
    return UserFactory(balance=50_000)


def close(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def log_in(username: str, password: str = PASSWORD) -> Answer:
    return Shopper().post("/api/auth/token", {"username": username, "password": password})


def refresh(token: str) -> Answer:
    return Shopper().post("/api/auth/token/refresh", {"refresh": token})


def test_an_access_token_is_valid_for_15_minutes() -> None:
    assert project_settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"] == timedelta(minutes=15)


class TestAClosedAccount:
    """A closed account cannot spend or receive anything; it can read its data until its access token expires."""

    def test_may_not_write(self, customer: User, pen: Product) -> None:
        coupon, shopper = CouponFactory(), Shopper(customer)
        close(customer)
        with nothing_changes():
            assert shopper.post("/api/balance/charge", {"amount": 1}).outcome == (404, "user_not_found")
            order = {"items": [{"productId": pen.pk, "quantity": 1}]}
            assert shopper.post("/api/orders", order).outcome == (404, "user_not_found")
            assert shopper.post(f"/api/coupons/{coupon.pk}/issue").outcome == (404, "user_not_found")
            assert shopper.get(f"/api/balance/{customer.pk}").outcome == (404, "user_not_found")

    def test_gets_no_new_access_token(self, customer: User) -> None:
        tokens = tokens_for(user_id=customer.pk, is_staff=False)
        close(customer)
        assert refresh(tokens.refresh).outcome == (401, "token_not_valid")

    def test_reads_and_cancels_its_own_orders_until_its_token_ends(self, customer: User, pen: Product) -> None:
        """As documented in SECURITY.md: a database lookup for every read would be too expensive."""
        order = order_of(customer, {pen: 1})
        shopper = Shopper(customer)
        close(customer)
        assert len(shopper.get("/api/users/orders").json["results"]) == 1
        assert shopper.post(f"/api/orders/{order.pk}/cancel").status == 200
        customer.refresh_from_db()
        assert customer.balance == 50_000


class TestStaffRights:
    """Permissions are those in the database, not those in the token."""

    def acting(self, clerk: User, customer: User, pen: Product) -> list[Answer]:
        """Send requests with a token from the time when the clerk was staff."""
        shopper = Shopper(access=tokens_for(user_id=clerk.pk, is_staff=True).access)
        order = order_of(customer, {pen: 1})
        return [
            shopper.get(f"/api/balance/{customer.pk}"),
            shopper.get("/api/users/balance/history", userId=customer.pk),
            shopper.get("/api/users/orders", userId=customer.pk),
            shopper.get("/api/users/coupons", userId=customer.pk),
            shopper.get(f"/api/orders/{order.pk}"),
            shopper.post("/api/balance/charge", {"userId": customer.pk, "amount": 1, "reason": "Asked."}),
            shopper.post(f"/api/orders/{order.pk}/cancel", {"reason": "Asked."}),
        ]

    def test_are_there_for_staff(self, customer: User, pen: Product) -> None:
        assert {answer.status for answer in self.acting(StaffFactory(), customer, pen)} == {200}

    def test_are_gone_at_once_after_a_demotion(self, customer: User, pen: Product) -> None:
        answers = self.acting(UserFactory(), customer, pen)
        assert [answer.status for answer in answers] == [403, 403, 403, 403, 404, 403, 400]

    def test_are_gone_at_once_with_the_account(self, customer: User, pen: Product) -> None:
        answers = self.acting(StaffFactory(is_active=False), customer, pen)
        assert {answer.outcome for answer in answers} == {(401, "token_not_valid")}

    def test_control_without_the_lookup_they_last_as_long_as_the_token(
        self, customer: User, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authentication, "_is_staff_now", lambda user_id: True)
        monkeypatch.setattr(User, "has_perm", lambda user, right: True)
        assert {answer.status for answer in self.acting(UserFactory(), customer, pen)} == {200}

    def test_cost_staff_two_queries_and_customers_none(self, customer: User) -> None:
        clerk = StaffFactory()
        with statements() as of_the_customer:
            Shopper(customer).get(f"/api/balance/{customer.pk}")
        with statements() as of_the_clerk:
            Shopper(clerk).get(f"/api/balance/{customer.pk}")
        assert (len(of_the_customer), len(of_the_clerk)) == (1, 3)

    def test_end_in_the_back_office_with_the_next_click(self) -> None:
        clerk = StaffFactory()
        client = Client()
        client.force_login(clerk)
        assert client.get("/admin/").status_code == 200
        User.objects.filter(pk=clerk.pk).update(is_staff=False)
        assert client.get("/admin/").status_code == 302


class TestAnotherPassword:
    """A new password ends all other sessions."""

    def test_ends_the_refresh_tokens_from_before(self) -> None:
        user = UserFactory(username="jimin", password=PASSWORD)
        old = log_in("jimin").json["refresh"]
        assert refresh(old).status == 200
        user.set_password("another one")
        user.save()
        assert refresh(old).outcome == (401, "token_not_valid")
        assert refresh(log_in("jimin", "another one").json["refresh"]).status == 200

    def test_is_not_revealed_by_any_token(self) -> None:
        user = UserFactory(username="jimin", password=PASSWORD)
        tokens = log_in("jimin").json
        shown = jwt.decode(tokens["access"], options={"verify_signature": False})
        kept = jwt.decode(tokens["refresh"], options={"verify_signature": False})
        assert "passwordMark" not in shown
        assert kept["passwordMark"] not in user.password
