"""What is refused before any use case: routes, methods, media types, bodies that are not JSON; and how it is said."""

import json
import re
from uuid import UUID

import pytest
from django.conf import settings as project_settings
from django.test import Client
from pytest_django import Settings
from rest_framework.throttling import AnonRateThrottle

from balances.models import User
from balances.views import TokenViewSet
from products import selectors
from tests.factories import CouponFactory, ProductFactory, UserFactory, order_of
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

HANGUL = re.compile("[가-힣]")


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


UNKNOWN = ["/", "/nothing", "/api", "/api/", "/api/nothing", "/api/orders/", "/api/orders/1/pay", "/api/balance",
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
        "detail": "There is nothing at this path.",
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
    "/livez": "GET",
    "/readyz": "GET",
    "/metrics": "GET",
}


@pytest.mark.parametrize("path", ROUTES)
def test_a_wrong_method_is_refused_with_the_right_ones(user: User, path: str) -> None:
    shopper = Shopper(user)
    wrong = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - {ROUTES[path]}
    with nothing_changes():
        for method in sorted(wrong):
            answer = shopper.send(method, path)
            assert answer.outcome == (405, "method_not_allowed"), method
            assert ROUTES[path] in answer.headers["Allow"]
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
    # No body at all is an empty one to the parser: there the fields are missing.
    assert answer.outcome == (400, "validation_error" if content == b"" else "malformed_json")
    assert ran == []


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json"],
)
def test_a_body_of_another_kind_is_refused(user: User, path: str, content_type: str) -> None:
    with nothing_changes(), statements() as ran:
        answer = Shopper(user).send("POST", path, b'{"amount": 1}', content_type=content_type)
    assert answer.outcome == (415, "unsupported_media_type")
    assert answer.json["detail"] == "Send the body as application/json."
    assert ran == []


def test_a_charset_may_be_named(user: User) -> None:
    answer = Shopper(user).send(
        "POST", "/api/balance/charge", b'{"amount": 1}', content_type="application/json; charset=utf-8"
    )
    assert answer.json["balance"] == 50_001


@pytest.mark.parametrize("path", WITH_BODY)
def test_a_body_of_ten_megabytes_is_refused_unread(user: User, path: str) -> None:
    content = json.dumps({"amount": 1, "note": "x" * 10_000_000}).encode()
    with nothing_changes():
        answer = Shopper(user).send("POST", path, content)
    assert answer.outcome == (400, "validation_error")
    limit = project_settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert answer.json["errors"] == [
        {"field": "", "code": "too_large", "message": f"The body is larger than {limit} bytes."}
    ]


@pytest.mark.parametrize("path", ["/api/orders/1/cancel", "/api/coupons/1/issue"])
def test_a_body_nobody_asked_for_is_not_read(user: User, path: str) -> None:
    answer = Shopper(user).send("POST", path, b"x" * 10_000_000, content_type="text/plain")
    assert answer.status == 404


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*"])
def test_whoever_does_not_take_json_is_refused(user: User, accept: str) -> None:
    product = ProductFactory()
    with nothing_changes(), statements() as ran:
        read = Shopper(user).get(f"/api/products/{product.pk}", headers={"Accept": accept})
        write = Shopper(user).post("/api/balance/charge", {"amount": 1}, headers={"Accept": accept})
    assert read.outcome == write.outcome == (406, "not_acceptable")
    assert ran == []


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/*", "text/html, */*;q=0.1"])
def test_whoever_takes_json_too_gets_it(user: User, accept: str) -> None:
    assert Shopper(user).get(f"/api/balance/{user.pk}", headers={"Accept": accept}).status == 200


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "client/7:retry=2+x._-", "x" * 128])
def test_a_sane_request_id_is_kept(user: User, given: str) -> None:
    good = Shopper(user).get(f"/api/balance/{user.pk}", headers={"X-Request-ID": given})
    bad = Shopper(user).get("/api/orders/1", headers={"X-Request-ID": given})
    assert good.headers["X-Request-ID"] == bad.headers["X-Request-ID"] == bad.json["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "<script>", "번호", "a;b", '"'])
def test_another_request_id_is_replaced(user: User, given: str) -> None:
    answer = Shopper(user).get("/api/orders/1", headers={"X-Request-ID": given})
    assert UUID(answer.headers["X-Request-ID"])
    assert answer.json["requestId"] == answer.headers["X-Request-ID"]


def test_every_request_has_an_id_of_its_own(user: User) -> None:
    shopper = Shopper(user)
    ids = {shopper.get(f"/api/balance/{user.pk}").headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


def test_a_crash_is_told_as_a_problem_and_logged(
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


def test_too_many_requests_are_told_when_to_come_back(stranger: Shopper, monkeypatch: pytest.MonkeyPatch) -> None:
    class TwoPerHour(AnonRateThrottle):
        rate = "2/hour"

    monkeypatch.setattr(TokenViewSet, "throttle_classes", [TwoPerHour])
    responses = [Client().post("/api/auth/token", {}, content_type="application/json") for _ in range(3)]
    assert [response.status_code for response in responses] == [400, 400, 429]
    assert responses[2].json()["code"] == "throttled"
    assert 3_500 < int(responses[2].headers["Retry-After"]) <= 3_600


class TestLanguages:
    """`title` and `detail` follow `Accept-Language`; `code` never changes."""

    def test_english_unless_told(self, user: User) -> None:
        for language in (None, "en", "en-GB", "fr", "xx-nonsense", "*"):
            answer = Shopper(user, language=language).get("/api/orders/1")
            assert (answer.json["title"], answer.json["detail"]) == ("Order not found", "You have no order 1.")
            assert answer.headers["Content-Language"] == "en"
            assert "Accept-Language" in answer.headers["Vary"]

    @pytest.mark.parametrize("language", ["ko", "ko-KR", "ko-KR,ko;q=0.9,en;q=0.5", "fr, ko;q=0.5"])
    def test_korean_where_it_is_asked_for(self, user: User, language: str) -> None:
        answer = Shopper(user, language=language).get("/api/orders/1")
        assert answer.outcome == (404, "order_not_found")
        assert HANGUL.search(answer.json["title"])
        assert HANGUL.search(answer.json["detail"])
        assert answer.headers["Content-Language"] == "ko"

    def test_the_next_request_of_the_same_thread_is_not_korean(self, user: User) -> None:
        Shopper(user, language="ko").get("/api/orders/1")
        assert Shopper(user).get("/api/orders/1").json["title"] == "Order not found"

    def test_every_business_refusal_speaks_korean(self, user: User, settings: Settings) -> None:
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
            "coupon_sold_out": (f"/api/coupons/{coupon.pk}/issue", None),
            "coupon_already_issued": (f"/api/coupons/{held.pk}/issue", None),
            "coupon_not_found": ("/api/coupons/999999/issue", None),
            "order_not_found": ("/api/orders/999999/cancel", None),
            "order_not_cancellable": (f"/api/orders/{cancelled.pk}/cancel", None),
            "permission_denied": ("/api/balance/charge", {"amount": 1, "userId": user.pk + 1}),
            "validation_error": ("/api/balance/charge", {"amount": 0}),
        }
        for code, (path, body) in requests.items():
            said = korean.post(path, body).json
            meant = english.post(path, body).json
            assert said["code"] == meant["code"] == code
            assert HANGUL.search(said["title"]), said
            assert HANGUL.search(said["detail"]), said
            assert said["title"] != meant["title"]
            untranslated = ("title", "detail", "requestId", "errors")
            assert {name: said[name] for name in said if name not in untranslated} == {
                name: meant[name] for name in meant if name not in untranslated
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
    def test_what_django_and_its_libraries_refuse_is_korean_too(
        self, method: str, path: str, headers: dict[str, str]
    ) -> None:
        response = Client().generic(method, path, headers={"Accept-Language": "ko", **headers})
        assert HANGUL.search(response.json()["title"]), response.content.decode()
