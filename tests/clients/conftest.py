"""Fixtures of the tests of clients: a running shop with a customer and products."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pytest_django import DjangoDbBlocker

from balances.models import User
from coupons.models import Coupon
from products.models import Product
from tests.factories import CouponFactory, ProductFactory, UserFactory
from tests.fuzz.web_server import WebServer, web_server


@dataclass(frozen=True)
class RunningShop:
    """A web server and the rows of the shop."""

    url: str
    customer: User
    pen: Product
    coupon: Coupon


@pytest.fixture(scope="session")
def web(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[WebServer]:
    """One server for all of these tests; it has no state between tests."""
    with (
        django_db_blocker.unblock(),
        web_server(PRODUCT_LIST_CACHE_SECONDS="0", POPULAR_CACHE_SECONDS="0") as server,
    ):
        yield server


@pytest.fixture
def running_shop(web: WebServer) -> RunningShop:
    """With the customer and the password of the demo data, which the documents use."""
    customer = UserFactory(username="customer1", password="customer")
    pen = ProductFactory(name="Fountain pen", price=1_000, stock=10)
    coupon = CouponFactory(discount_value=500)
    return RunningShop(web.url, customer, pen, coupon)
