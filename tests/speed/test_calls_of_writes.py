"""The cost of a write that is alone in its group: Python calls, round trips to PostgreSQL, calls to Redis.

The bounds are a little above the counted values, so that additional cost is noticed.
"""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest
from pytest_django import Settings

from tests.factories import CouponFactory, ProductFactory, UserFactory
from tests.groups import round_trips
from tests.speed.calls import Counted, counted, environ_of

pytestmark = pytest.mark.django_db(transaction=True)

ATTEMPTS = 5

Wsgi = Callable[..., Iterable[bytes]]

_keys = count(1)


class Caller:
    """A customer whose token is cached by the process."""

    def __init__(self, application: Wsgi, **values: Any) -> None:
        user = UserFactory(**values)
        authorization = environ_of("GET", "/", user=user)["HTTP_AUTHORIZATION"]
        self._headers = {"HTTP_AUTHORIZATION": authorization}
        counted(application, environ_of("GET", f"/api/balance/{user.pk}", headers=self._headers))

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request with a new idempotency key."""
        key = {"HTTP_IDEMPOTENCY_KEY": f"speed-{next(_keys)}"}
        return environ_of("POST", path, body=body, headers=self._headers | key)


def fewest(application: Wsgi, make: Callable[[], dict[str, Any]]) -> Counted:
    """The response with the fewest calls, with warm caches and open connections."""
    answers = [counted(application, make()) for _ in range(3 + ATTEMPTS)][3:]
    assert {answer.status for answer in answers} == {200}
    return min(answers, key=lambda answer: answer.total)


def test_a_charge(application: Wsgi) -> None:
    caller = Caller(application)
    answer = fewest(application, lambda: caller.post("/api/balance/charge", {"amount": 1_000}))
    assert answer.total <= 700
    with round_trips() as trips:
        counted(application, caller.post("/api/balance/charge", {"amount": 1_000}))
    assert (len(trips.postgresql), trips.locks, trips.cache) == (2, 2, 1)


def test_an_issue(application: Wsgi) -> None:
    coupon = CouponFactory(total_quantity=100)
    path = f"/api/coupons/{coupon.pk}/issue"
    assert fewest(application, lambda: Caller(application).post(path)).total <= 700
    another = Caller(application)
    with round_trips() as trips:
        counted(application, another.post(path))
    assert (len(trips.postgresql), trips.locks, trips.cache) == (2, 2, 0)


def test_an_order_of_two_items(application: Wsgi) -> None:
    caller, products = Caller(application, balance=1_000_000), ProductFactory.create_batch(2, stock=100)
    body = {"items": [{"productId": product.pk, "quantity": 1} for product in products]}
    assert fewest(application, lambda: caller.post("/api/orders", body)).total <= 1_200
    with round_trips() as trips:
        counted(application, caller.post("/api/orders", body))
    assert (len(trips.postgresql), trips.locks, trips.cache) == (2, 2, 1)


def test_an_order_with_an_email_needs_no_extra_round_trip(application: Wsgi, settings: Settings) -> None:
    """E-mail is off in the tests above."""
    caller, products = Caller(application, balance=1_000_000), ProductFactory.create_batch(2, stock=100)
    body = {"items": [{"productId": product.pk, "quantity": 1} for product in products]}
    off = fewest(application, lambda: caller.post("/api/orders", body)).total
    settings.EMAIL_HOST = "smtp.example"
    on = fewest(application, lambda: caller.post("/api/orders", body)).total
    assert on - off <= 12
    with round_trips() as trips:
        counted(application, caller.post("/api/orders", body))
    assert (len(trips.postgresql), trips.locks, trips.cache) == (2, 2, 1)
