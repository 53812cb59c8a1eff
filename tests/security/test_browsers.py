"""CORS for the API, and the content security policy of the back-office."""

import pytest
from corsheaders.middleware import CorsMiddleware
from django.conf import settings as project_settings
from django.test import Client
from pytest_django import Settings

from balances.models import User
from tests.factories import UserFactory
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = "https://shop.example"
CORS = f"{CorsMiddleware.__module__}.{CorsMiddleware.__name__}"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, idempotency-key",
}


@pytest.fixture
def allowed(settings: Settings) -> None:
    """The settings and middleware that `CORS_ALLOWED_ORIGINS` enables."""
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    first, *others = project_settings.MIDDLEWARE
    settings.MIDDLEWARE = [first, CORS, *others]


def test_a_preflight_needs_no_token(allowed: None) -> None:
    response = Client().options("/api/orders", headers=PREFLIGHT)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "idempotency-key" in response.headers["Access-Control-Allow-Headers"]


def test_refusals_have_cors_headers_too(allowed: None) -> None:
    user: User = UserFactory(balance=1)
    for path, status in ((f"/api/balance/{user.pk}", 200), ("/api/balance/999", 403), ("/api/products", 200)):
        answer = Shopper(user).get(path, headers={"Origin": ORIGIN})
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_another_origin_gets_no_cors_headers(allowed: None) -> None:
    response = Client().get("/api/products", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in response.headers


def test_no_origin_is_allowed_by_default() -> None:
    assert CORS not in project_settings.MIDDLEWARE
    assert "Access-Control-Allow-Origin" not in Client().options("/api/products", headers=PREFLIGHT).headers


def test_back_office_pages_use_no_other_sites() -> None:
    policy = Client().get("/admin/login/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
