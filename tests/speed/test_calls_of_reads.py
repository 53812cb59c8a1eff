"""The overhead of a request and the cost of reads: Python calls, statements, Redis calls.

The bounds are a little above the counted values, so that additional cost is noticed.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pytest_django import Settings

from balances import selectors, views
from balances.models import User
from commerce.server.json_codec import json_response
from products.models import Product
from tests.shop_state import statements
from tests.speed.calls import Counted, counted, environ_of

pytestmark = pytest.mark.django_db(transaction=True)

ATTEMPTS = 5
"""Several, because a page may expire, or a limit may be reported to Redis, during one of them."""
REDIS = "commerce.core.redis_services.RedisService._ask"

Wsgi = Callable[..., Iterable[bytes]]


def fewest(application: Wsgi, make: Callable[[], dict[str, Any]], *, status: int = 200) -> Counted:
    """The response with the fewest calls, with warm caches and open connections."""
    answers = [counted(application, make()) for _ in range(3 + ATTEMPTS)][3:]
    assert {answer.status for answer in answers} == {status}
    return min(answers, key=lambda answer: answer.total)


@pytest.mark.parametrize("path", ["/api/products", "/api/products?pageSize=50&ordering=price", "/api/products/popular"])
def test_a_cached_page(application: Wsgi, pen: Product, path: str) -> None:
    answer = fewest(application, lambda: environ_of("GET", path))
    assert answer.total <= 60
    assert answer.calls[REDIS] <= 1
    with statements() as ran:
        counted(application, environ_of("GET", path))
    assert ran == []


def test_a_cached_page_that_the_caller_has(application: Wsgi, pen: Product) -> None:
    etag = counted(application, environ_of("GET", "/api/products")).headers["ETag"]
    answer = fewest(
        application, lambda: environ_of("GET", "/api/products", headers={"HTTP_IF_NONE_MATCH": etag}), status=304
    )
    assert answer.total <= 60


def test_a_cached_page_of_another_process(application: Wsgi, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commerce.server.ready_pages._is_fresh", lambda ready: False)
    answer = fewest(application, lambda: environ_of("GET", "/api/products"))
    assert answer.total <= 300
    assert answer.calls[REDIS] == 1


def test_a_product(application: Wsgi, pen: Product) -> None:
    environ = environ_of("GET", f"/api/products/{pen.pk}")
    answer = fewest(application, lambda: dict(environ))
    assert answer.total <= 240
    assert answer.calls[REDIS] == 0
    with statements() as ran:
        counted(application, dict(environ))
    assert len(ran) == 1


def test_a_balance(application: Wsgi, user: User) -> None:
    environ = environ_of("GET", f"/api/balance/{user.pk}", user=user)
    answer = fewest(application, lambda: dict(environ))
    assert answer.total <= 250
    assert answer.calls[REDIS] == 0
    with statements() as ran:
        counted(application, dict(environ))
    assert len(ran) == 1


def test_everything_around_an_authenticated_read(
    application: Wsgi, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance = selectors.Balance(user.pk, 1)
    monkeypatch.setattr(selectors, "balance_of", lambda user_id: balance)
    environ = environ_of("GET", f"/api/balance/{user.pk}", user=user)
    assert fewest(application, lambda: dict(environ)).total <= 140


def test_everything_around_a_write_with_limits(
    application: Wsgi, user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token, limit, body and response, without the write."""
    settings.WRITES_PER_SECOND, settings.WRITES_AT_ONCE = 1_000.0, 1_000
    monkeypatch.setattr(views, "answer_once", lambda *_, **__: json_response(b"{}"))
    token = environ_of("GET", "/", user=user)["HTTP_AUTHORIZATION"]

    def charge() -> dict[str, Any]:
        return environ_of("POST", "/api/balance/charge", body={"amount": 1}, headers={"HTTP_AUTHORIZATION": token})

    answer = fewest(application, charge)
    assert answer.total <= 200
    assert answer.calls[REDIS] <= 1


def test_a_sign_of_life(application: Wsgi) -> None:
    assert fewest(application, lambda: environ_of("GET", "/livez")).total <= 100
