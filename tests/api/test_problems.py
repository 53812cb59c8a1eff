"""Refusals before any use case: routes, methods, media types, malformed bodies, and their problem documents."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as project_settings
from django.test import Client
from pytest_django import Settings
from rest_framework.throttling import AnonRateThrottle

from balances.models import User
from balances.views import TokenViewSet
from commerce.api.fields import MOST_NAMED
from products import selectors
from tests.factories import CouponFactory, ProductFactory, UserFactory, order_of
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

HANGUL = re.compile("[가-힣]")


UNKNOWN = ["/nothing", "/api/", "/api/nothing", "/api/orders/", "/api/orders/1/pay", "/api/balance",
           "/api/balance/1/charge", "/api/products/1/", "/api/orders/abc", "/api/balance/-1", "/API/products",
           "/api//products", "/livez/", "/api/users", "/../etc/passwd"]  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_route_is_not_found(path: str) -> None:
    with statements() as ran:
        response = Client().get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body == {
        "type": "/problems/not-found",
        "title": "Not found",
        "status": 404,
        "code": "not_found",
        "detail": "There is no resource at this path.",
        "instance": body["instance"],
        "requestId": response.headers["X-Request-ID"],
    }
    assert ran == []


ROUTES = {
    "/api/auth/token": "POST",
    "/api/auth/token/refresh": "POST",
    "/api/balance/1": "GET",
    "/api/balance/charge": "POST",
    "/api/users/balance/history": "GET",
    "/api/products": "GET",
    "/api/products/1": "GET",
    "/api/products/popular": "GET",
    "/api/coupons": "GET",
    "/api/coupons/1/issue": "POST",
    "/api/users/coupons": "GET",
    "/api/orders": "POST",
    "/api/users/orders": "GET",
    "/api/orders/1": "GET",
    "/api/orders/1/cancel": "POST",
    "/": "GET",
    "/api": "GET",
    "/livez": "GET",
    "/readyz": "GET",
    "/metrics": "GET",
}


@pytest.mark.parametrize("path", ROUTES)
def test_a_wrong_method_is_refused_with_allow(user: User, path: str) -> None:
    shopper = Shopper(user)
    wrong = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - {ROUTES[path]}
    with nothing_changes():
        for method in sorted(wrong):
            answer = shopper.send(method, path)
            assert answer.outcome == (405, "method_not_allowed"), method
            assert answer.headers["Allow"] == ("GET, HEAD" if ROUTES[path] == "GET" else ROUTES[path])
            assert answer.json["title"] == "Method not allowed"
            assert method in answer.json["detail"]


WITH_BODY = ["/api/auth/token", "/api/auth/token/refresh", "/api/balance/charge", "/api/orders"]


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize(
    "content",
    [
        b"{", b"", b"nonsense", b'{"amount": 1,}', b"{'amount': 1}", b'{"amount": NaN}', b'{"amount": Infinity}',
        b'{"amount": -Infinity}', b'{"amount": 1, "amount": 2}', b"\xff\xfe", b'{"amount": "\xff"}', b"[" * 100_000,
        b'{"a":' * 50_000, b'{"amount": ' + b"9" * 10_000 + b"}", b"\x00", b'{"amount": 0x10}', b'{"amount": 01}',
    ],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
def test_a_body_that_is_not_json_is_refused(user: User, path: str, content: bytes) -> None:
    with nothing_changes(), statements() as ran:
        answer = Shopper(user).send("POST", path, content)
    # A missing body is parsed as an empty one, so its fields are missing.
    assert answer.outcome == (400, "validation_error" if content == b"" else "malformed_json")
    assert ran == []


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"amount":\n 1,}', "The body is not JSON: look at line 2, column 4."),
        (b"nonsense", "The body is not JSON: look at line 1, column 1."),
        ('{\n"가": "'.encode() + b'\xff"}', "The body is not UTF-8: look at line 2, column 7."),
        (b'{"amount": NaN}', "The body is not JSON: NaN is not a number."),
        (b'{"amount": 1, "amount": 2}', "The body has an object that names the same key twice."),
        (b"[" * 100_000, "The body is nested too deeply."),
        (b'{"amount": ' + b"9" * 10_000 + b"}", "The body has a number with too many digits."),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_body_errors_are_translated(user: User, content: bytes, detail: str) -> None:
    assert Shopper(user).send("POST", "/api/balance/charge", content).json["detail"] == detail
    korean = Shopper(user, language="ko").send("POST", "/api/balance/charge", content).json["detail"]
    assert HANGUL.search(korean)


def test_the_language_follows_the_header_not_cookies(user: User) -> None:
    client = Client()
    client.cookies["django_language"] = "ko"
    client.get("/admin/login/")
    for path in ("/api/nothing", "/api/users/orders", "/api/products?page=x"):
        for language in ("en", "en-US", ""):
            response = client.get(path, headers={"Accept-Language": language} if language else {})
            assert response.headers["Content-Language"] == "en", (path, language)
            assert not HANGUL.search(response.json()["detail"])


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json"],
)
def test_a_body_of_another_media_type_is_refused(user: User, path: str, content_type: str) -> None:
    with nothing_changes(), statements() as ran:
        answer = Shopper(user).send("POST", path, b'{"amount": 1}', content_type=content_type)
    assert answer.outcome == (415, "unsupported_media_type")
    assert answer.json["detail"] == "Send the body as application/json."
    assert ran == []


def test_a_charset_is_accepted(user: User) -> None:
    answer = Shopper(user).send(
        "POST", "/api/balance/charge", b'{"amount": 1}', content_type="application/json; charset=utf-8"
    )
    assert answer.json["balance"] == 50_001


@pytest.mark.parametrize("path", WITH_BODY)
def test_a_body_of_ten_megabytes_is_refused_without_reading(user: User, path: str) -> None:
    content = json.dumps({"amount": 1, "note": "x" * 10_000_000}).encode()
    with nothing_changes():
        answer = Shopper(user).send("POST", path, content)
    assert answer.outcome == (413, "payload_too_large")
    limit = project_settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert answer.json["detail"] == f"The body is larger than {limit} bytes."


UNKNOWN_FIELDS: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    (
        "/api/auth/token",
        {"username": "a", "password": "b", "grant_type": "password"},
        [("grant_type", "unknown_field")],
    ),
    ("/api/auth/token/refresh", {"refresh": "x", "access": "y"}, [("access", "unknown_field")]),
    ("/api/balance/charge", {"amount": 1, "currency": "USD"}, [("currency", "unknown_field")]),
    ("/api/balance/charge", {"amount": 0, "Amount": 1}, [("amount", "min_value"), ("Amount", "unknown_field")]),
    (
        "/api/orders",
        {"items": [{"productId": 1, "quantity": 1, "price": 1}], "couponId": 1},
        [("items.0.price", "unknown_field"), ("couponId", "unknown_field")],
    ),
    ("/api/coupons/1/issue", {"userId": 2}, [("userId", "unknown_field")]),
    ("/api/balance/charge", {"amount": 1, "\ud800": 1}, [("?", "unknown_field")]),
    ("/api/balance/charge", {"amount": 1, "x" * 200: 1}, [("x" * 100, "unknown_field")]),
]


@pytest.mark.parametrize(("path", "body", "errors"), UNKNOWN_FIELDS, ids=repr)
def test_an_unknown_field_is_refused(
    user: User, path: str, body: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    CouponFactory(id=1)
    with nothing_changes():
        answer = Shopper(user).post(path, body)
    assert answer.outcome == (400, "validation_error")
    assert sorted((error["field"], error["code"]) for error in answer.json["errors"]) == sorted(errors)


def test_a_limited_number_of_unknown_fields_is_reported(user: User) -> None:
    answer = Shopper(user).post("/api/balance/charge", {"amount": 1, **{f"x{number}": 1 for number in range(1_000)}})
    assert len(answer.json["errors"]) == MOST_NAMED


@pytest.mark.parametrize("content", [b"", b"{}", b" {} "])
def test_an_empty_body_is_the_same_as_none(user: User, content: bytes) -> None:
    coupon = CouponFactory()
    assert Shopper(user).send("POST", f"/api/coupons/{coupon.pk}/issue", content).status == 200


LISTS = [path for path, method in ROUTES.items() if method == "GET" and re.search(r"^/api/.*[a-z]$", path)]


@pytest.mark.parametrize("path", LISTS)
def test_an_unknown_parameter_is_refused(user: User, path: str) -> None:
    answer = Shopper(user).get(path, {"size": "5", "sort": "id"})
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [
        ("size", "unknown_parameter"),
        ("sort", "unknown_parameter"),
    ]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*"])
def test_a_client_that_does_not_accept_json_is_refused(user: User, accept: str) -> None:
    product = ProductFactory()
    with nothing_changes(), statements() as ran:
        read = Shopper(user).get(f"/api/products/{product.pk}", headers={"Accept": accept})
        write = Shopper(user).post("/api/balance/charge", {"amount": 1}, headers={"Accept": accept})
    assert read.outcome == write.outcome == (406, "not_acceptable")
    assert ran == []


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/*", "text/html, */*;q=0.1"])
def test_a_client_that_accepts_json_among_others_gets_it(user: User, accept: str) -> None:
    assert Shopper(user).get(f"/api/balance/{user.pk}", headers={"Accept": accept}).status == 200


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "client/7:retry=2+x._-", "x" * 128])
def test_a_valid_request_id_is_kept(user: User, given: str) -> None:
    good = Shopper(user).get(f"/api/balance/{user.pk}", headers={"X-Request-ID": given})
    bad = Shopper(user).get("/api/orders/1", headers={"X-Request-ID": given})
    assert good.headers["X-Request-ID"] == bad.headers["X-Request-ID"] == bad.json["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "<script>", "번호", "a;b", '"'])
def test_an_invalid_request_id_is_replaced(user: User, given: str) -> None:
    answer = Shopper(user).get("/api/orders/1", headers={"X-Request-ID": given})
    assert UUID(answer.headers["X-Request-ID"])
    assert answer.json["requestId"] == answer.headers["X-Request-ID"]


def test_every_request_has_an_id_of_its_own(user: User) -> None:
    shopper = Shopper(user)
    ids = {shopper.get(f"/api/balance/{user.pk}").headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


def test_a_crash_is_a_problem_document_and_logged(
    user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(product_id: int) -> None:
        raise ZeroDivisionError(f"secret of product {product_id}")

    monkeypatch.setattr(selectors, "product_for_sale", broken)
    response = Client(raise_request_exception=False).get("/api/products/1")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.json()["code"], response.json()["title"]) == ("internal_error", "Internal error")
    assert b"secret" not in response.content
    assert "secret of product 1" in caplog.text


def test_too_many_requests_have_a_retry_after(stranger: Shopper, monkeypatch: pytest.MonkeyPatch) -> None:
    class TwoPerHour(AnonRateThrottle):
        rate = "2/hour"

    monkeypatch.setattr(TokenViewSet, "throttle_classes", [TwoPerHour])
    responses = [Client().post("/api/auth/token", {}, content_type="application/json") for _ in range(3)]
    assert [response.status_code for response in responses] == [400, 400, 429]
    assert responses[2].json()["code"] == "throttled"
    assert 3_500 < int(responses[2].headers["Retry-After"]) <= 3_600


class TestLanguages:
    """`title` and `detail` follow `Accept-Language`; `code` never changes."""

    def test_english_is_the_default(self, user: User) -> None:
        for language in (None, "en", "en-GB", "fr", "xx-nonsense", "*"):
            answer = Shopper(user, language=language).get("/api/orders/1")
            assert (answer.json["title"], answer.json["detail"]) == ("Order not found", "You have no order 1.")
            assert answer.headers["Content-Language"] == "en"
            assert "Accept-Language" in answer.headers["Vary"]

    @pytest.mark.parametrize("language", ["ko", "ko-KR", "ko-KR,ko;q=0.9,en;q=0.5", "fr, ko;q=0.5"])
    def test_korean_if_accepted(self, user: User, language: str) -> None:
        answer = Shopper(user, language=language).get("/api/orders/1")
        assert answer.outcome == (404, "order_not_found")
        assert HANGUL.search(answer.json["title"])
        assert HANGUL.search(answer.json["detail"])
        assert answer.headers["Content-Language"] == "ko"

    def test_the_language_does_not_leak_into_the_next_request(self, user: User) -> None:
        Shopper(user, language="ko").get("/api/orders/1")
        assert Shopper(user).get("/api/orders/1").json["title"] == "Order not found"

    def test_every_refusal_is_translated_into_korean(self, user: User, settings: Settings) -> None:
        settings.BALANCE_LIMIT_WON = 50_000
        korean, english = Shopper(user, language="ko"), Shopper(user)
        pen = ProductFactory(price=60_000, stock=2)
        coupon = CouponFactory(total_quantity=1)
        held = CouponFactory(min_order_amount=100_000)
        english.post(f"/api/coupons/{held.pk}/issue")
        unit = english.get("/api/users/coupons").json["results"][0]["id"]
        Shopper(UserFactory()).post(f"/api/coupons/{coupon.pk}/issue")
        cancelled = order_of(user, {ProductFactory(price=1): 1})
        english.post(f"/api/orders/{cancelled.pk}/cancel")

        def order(quantity: int, product_id: int = pen.pk, unit_id: int | None = None) -> tuple[str, object]:
            items = [{"productId": product_id, "quantity": quantity}]
            return "/api/orders", {"items": items, "userCouponId": unit_id}

        requests: dict[str, tuple[str, object]] = {
            "balance_limit_exceeded": ("/api/balance/charge", {"amount": 1}),
            "insufficient_balance": order(1),
            "out_of_stock": order(3),
            "product_not_found": order(1, product_id=999_999),
            "coupon_not_usable": order(1, unit_id=unit),
            "coupon_sold_out": (f"/api/coupons/{coupon.pk}/issue", {}),
            "coupon_already_issued": (f"/api/coupons/{held.pk}/issue", {}),
            "coupon_not_found": ("/api/coupons/999999/issue", {}),
            "order_not_found": ("/api/orders/999999/cancel", {}),
            "order_not_cancellable": (f"/api/orders/{cancelled.pk}/cancel", {}),
            "permission_denied": ("/api/balance/charge", {"amount": 1, "userId": user.pk + 1}),
            "validation_error": ("/api/balance/charge", {"amount": 0}),
        }
        for code, (path, body) in requests.items():
            translated = korean.post(path, body).json
            original = english.post(path, body).json
            assert translated["code"] == original["code"] == code
            assert HANGUL.search(translated["title"]), translated
            assert HANGUL.search(translated["detail"]), translated
            assert translated["title"] != original["title"]
            untranslated = ("title", "detail", "requestId", "errors")
            assert {name: translated[name] for name in translated if name not in untranslated} == {
                name: original[name] for name in original if name not in untranslated
            }

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            ("GET", "/nothing", {}),
            ("DELETE", "/api/products", {}),
            ("GET", "/api/users/orders", {}),
            ("GET", "/api/users/orders", {"Authorization": "Bearer abc"}),
            ("GET", "/api/products", {"Accept": "text/html"}),
        ],
    )
    def test_refusals_of_django_and_libraries_are_in_korean_too(
        self, method: str, path: str, headers: dict[str, str]
    ) -> None:
        response = Client().generic(method, path, headers={"Accept-Language": "ko", **headers})
        assert HANGUL.search(response.json()["title"]), response.content.decode()


def test_cache_control_of_private_responses_and_lists(user: User) -> None:
    shopper = Shopper(user)
    private = [
        shopper.get(f"/api/balance/{user.pk}"),
        shopper.get("/api/users/orders"),
        shopper.post("/api/balance/charge", {"amount": 1}),
        shopper.post("/api/auth/token", {"username": "x", "password": "y"}),
        shopper.get("/api/nothing"),
    ]
    assert {answer.headers["Cache-Control"] for answer in private} == {"no-store"}
    assert shopper.get("/api/products").headers["Cache-Control"] == "no-cache"
    assert {answer.headers["X-Content-Type-Options"] for answer in private} == {"nosniff"}


@pytest.mark.parametrize("path", ["/", "/api"])
def test_the_root_redirects_to_the_documentation(path: str) -> None:
    response = Client().get(path)
    assert (response.status_code, response.headers["Location"]) == (302, "/api/docs")
