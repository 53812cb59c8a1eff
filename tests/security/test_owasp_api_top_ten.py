"""OWASP API Security Top 10 (2023), a class per row.

What other tests show in detail is only named here: tests/api/test_tokens.py (tokens), tests/api/test_bad_input.py and
tests/fuzz (input), tests/back_office (staff), tests/outbox/test_data_platform_sink.py (the partner), and, beside this
file, test_logins.py, test_rate_limits.py, test_sessions_end.py, test_secrets_stay.py, test_settings.py.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import jwt
import pytest
from django.conf import settings as project_settings
from django.contrib import admin
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.models import OutboxMessage
from commerce.outbox.sinks.base import Failure, Message
from commerce.outbox.sinks.data_platform import DataPlatformSink
from coupons.models import UserCoupon
from orders.models import Order
from products.models import Product
from tests.back_office.staff import Staff
from tests.documented import schema
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserCouponFactory, UserFactory, order_of
from tests.outbox.partner import Partner, partner_at_work
from tests.shop_state import nothing_changes, statements
from tests.shopper import NO_BODY, Answer, Shopper
from tests.together import together
from tests.webhooks.conftest import subscribe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mallory() -> User:
    return UserFactory(username="mallory", balance=50_000)


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.com", balance=77_777)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Fountain pen", price=1_200)


class TestApi1BrokenObjectLevelAuthorization:
    """Objects of others: refused or not found, without any of their data in the response."""

    def attempts(self, mallory: User, alice: User, order: Order, held: UserCoupon, pen: Product) -> Iterator[Answer]:
        shopper = Shopper(mallory)
        yield shopper.get(f"/api/balance/{alice.pk}")
        for history in ("/api/users/balance/history", "/api/users/orders", "/api/users/coupons"):
            yield shopper.get(history, userId=alice.pk)
        yield shopper.post("/api/balance/charge", {"userId": alice.pk, "amount": 1})
        yield shopper.get(f"/api/orders/{order.pk}")
        yield shopper.post(f"/api/orders/{order.pk}/cancel")
        items = [{"productId": pen.pk, "quantity": 1}]
        yield shopper.post("/api/orders", {"items": items, "userCouponId": held.pk})

    def test_are_out_of_reach(self, mallory: User, alice: User, pen: Product) -> None:
        held = UserCouponFactory(user=alice)
        order = order_of(alice, {pen: 1})
        with nothing_changes():
            answers = list(self.attempts(mallory, alice, order, held, pen))
        assert [answer.status for answer in answers] == [403] * 5 + [404, 404, 400]
        for answer in answers:
            assert not any(private in answer.content for private in (b"77777", b"76577", b"alice", b"Fountain"))

    def test_look_like_what_does_not_exist(self, mallory: User, alice: User, pen: Product) -> None:
        theirs, nobodys = order_of(alice, {pen: 1}).pk, 999_999
        held = UserCouponFactory(user=alice).pk
        shopper = Shopper(mallory)

        def comparable(answer: Answer, number: int) -> dict[str, Any]:
            """The problem document without the ids of request and object."""
            parts = {name: str(value).replace(str(number), "N") for name, value in answer.json.items()}
            return {**parts, "status": answer.status, "requestId": ""}

        for template in ("/api/orders/{}", "/api/orders/{}/cancel"):
            ask = shopper.post if template.endswith("cancel") else shopper.get
            assert comparable(ask(template.format(theirs)), theirs) == comparable(
                ask(template.format(nobodys)), nobodys
            )
        order = {"items": [{"productId": pen.pk, "quantity": 1}]}
        of_alice = shopper.post("/api/orders", {**order, "userCouponId": held})
        of_nobody = shopper.post("/api/orders", {**order, "userCouponId": nobodys})
        assert comparable(of_alice, held) == comparable(of_nobody, nobodys)

    def test_idempotency_keys_of_others_reveal_no_response(self, mallory: User, alice: User) -> None:
        mine = Shopper(alice).post("/api/balance/charge", {"amount": 5}, key="known")
        theirs = Shopper(mallory).post("/api/balance/charge", {"amount": 5}, key="known")
        assert (mine.json["balance"], theirs.json["balance"], theirs.replayed) == (77_782, 50_005, False)


class TestApi2BrokenAuthentication:
    """Only tokens with our signature and algorithm, in the Authorization header, are accepted."""

    def claims(self, user: User) -> dict[str, Any]:
        return {"token_type": "access", "exp": timezone.now() + timedelta(hours=1), "jti": "0", "userId": str(user.pk)}

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
    def test_a_token_with_another_algorithm_is_refused(self, alice: User, algorithm: str) -> None:
        key = str(project_settings.SIMPLE_JWT["SIGNING_KEY"])
        token = jwt.encode(self.claims(alice), key, algorithm=algorithm)
        assert Shopper(access=jwt.encode(self.claims(alice), key)).get(f"/api/balance/{alice.pk}").status == 200
        assert Shopper(access=token).get(f"/api/balance/{alice.pk}").outcome == (401, "token_not_valid")

    def test_a_key_inside_the_token_is_not_used(self, alice: User) -> None:
        headers = {"jwk": {"kty": "oct", "k": "a2V5"}, "kid": "../../dev/null", "jku": "http://127.0.0.1:1/keys"}
        token = jwt.encode(self.claims(alice), "a key of one's own, long enough for it", headers=headers)
        assert Shopper(access=token).get(f"/api/balance/{alice.pk}").outcome == (401, "token_not_valid")

    @pytest.mark.parametrize("where", ["access", "token", "access_token", "Authorization"])
    def test_a_token_in_the_url_is_ignored(self, alice: User, where: str) -> None:
        token = tokens_for(user_id=alice.pk, is_staff=False).access
        assert Shopper().get(f"/api/balance/{alice.pk}", {where: token}).outcome == (401, "not_authenticated")

    def test_a_back_office_session_does_not_authenticate_at_the_api(self, alice: User) -> None:
        clerk = Staff(superuser=True)
        with nothing_changes():
            assert clerk.client.get(f"/api/balance/{alice.pk}").status_code == 401
            body = {"userId": alice.pk, "amount": 1}
            sent = clerk.client.post("/api/balance/charge", body, content_type="application/json")
            assert sent.status_code == 401

    def test_a_token_does_not_authenticate_at_the_back_office(self) -> None:
        boss = Staff(superuser=True).user
        token = tokens_for(user_id=boss.pk, is_staff=True).access
        assert Client(headers={"Authorization": f"Bearer {token}"}).get("/admin/").status_code == 302


class TestApi3BrokenObjectPropertyLevelAuthorization:
    """Protected fields cannot be set, and responses contain only documented fields."""

    FORBIDDEN = {
        "balance": 10**9, "price": 1, "unitPrice": 1, "paidAmount": 0, "totalAmount": 0, "discountAmount": 10**6,
        "status": "CANCELLED", "isStaff": True, "is_staff": True, "isSuperuser": True, "is_active": False,
        "createdAt": "2020-01-01T00:00:00Z", "id": 1, "transaction": {"amount": 1}, "orderId": 1,
    }  # fmt: skip

    def test_only_documented_fields_of_a_body_are_accepted(self, mallory: User, pen: Product) -> None:
        shopper, coupon = Shopper(mallory), CouponFactory()
        items = [{**self.FORBIDDEN, "productId": pen.pk, "quantity": 1}]
        bodies = {
            "/api/balance/charge": {**self.FORBIDDEN, "amount": 1},
            "/api/orders": {**self.FORBIDDEN, "items": items},
            f"/api/coupons/{coupon.pk}/issue": {**self.FORBIDDEN, "userId": 1, "expiresAt": "2999-01-01"},
        }
        with nothing_changes():
            answers = [shopper.post(path, body) for path, body in bodies.items()]
        for answer in answers:
            assert {error["code"] for error in answer.json["errors"]} == {"unknown_field"}

    def test_responses_contain_no_internal_fields(self, alice: User, pen: Product) -> None:
        """Shopper validates every response against the schema, and fails for undocumented fields."""
        order = order_of(alice, {pen: 1})
        shopper = Shopper(alice)
        paths = ["/api/users/orders", "/api/users/coupons", "/api/users/balance/history", f"/api/orders/{order.pk}"]
        answers = [shopper.get(path) for path in [*paths, "/api/products", "/api/coupons", f"/api/balance/{alice.pk}"]]
        assert {answer.status for answer in answers} == {200}
        for answer in answers:
            assert not any(private in answer.content for private in (b"alice", b"@example", b"password", b"pbkdf2"))


class TestApi4UnrestrictedResourceConsumption:
    """Bodies, lists, pages and waits are limited; rate limits of writes: test_rate_limits.py."""

    def test_pages_are_short_for_staff_too(self, alice: User) -> None:
        own = order_of(alice, {ProductFactory(price=0): 1})
        lists = [
            path.replace("{orderId}", str(own.pk))
            for path, item in schema()["paths"].items()
            if any(parameter["name"] == "pageSize" for parameter in item.get("get", {}).get("parameters", []))
        ]
        of_staff = [path for path in lists if "webhooks" in path]
        assert (len(lists), len(of_staff)) == (8, 2)
        staff, webhook = Shopper(StaffFactory()), subscribe("https://partner.example/")
        for path in of_staff:
            address = path.replace("{webhookId}", str(webhook.pk))
            assert staff.get(address, pageSize=1_000_000).outcome == (400, "validation_error")
        for path in set(lists) - set(of_staff):
            assert Shopper(alice).get(path, pageSize=1_000_000).outcome == (400, "validation_error")

    @pytest.mark.parametrize("path", ["/api/orders", "/api/balance/charge", "/api/auth/token"])
    def test_huge_bodies_and_deep_nesting_need_no_query(self, alice: User, path: str) -> None:
        items = [{"productId": number, "quantity": 1} for number in range(1, 10_001)]
        bodies = [b"x" * 10_000_000, json.dumps({"items": items}).encode(), b"[" * 200_000, b'{"items":' * 20_000]
        with nothing_changes(), statements() as ran:
            answers = [Shopper(alice).send("POST", path, body) for body in bodies]
        assert [answer.status for answer in answers] == [413, 413, 400, 400]
        assert not any("INSERT" in statement or "UPDATE" in statement for statement in ran)

    def test_the_length_of_a_search_is_limited(self) -> None:
        assert Shopper().get("/api/products", search="%" * 101).outcome == (400, "validation_error")
        assert Shopper().get("/api/products", search="%_\\" * 33).status == 200

    def test_a_body_is_read_up_to_its_content_length(self, alice: User) -> None:
        """Bytes after the Content-Length are ignored."""
        shopper = Shopper(alice)
        body = b'{"amount": 1}'
        answer = shopper.send("POST", "/api/balance/charge", body + b"9" * 1_000, headers={"Content-Length": "13"})
        assert (answer.status, answer.json["balance"]) == (200, 77_778)

    def test_a_too_long_idempotency_key_is_not_stored(self, alice: User) -> None:
        with nothing_changes():
            assert Shopper(alice).post("/api/balance/charge", {"amount": 1}, key="x" * 256).status == 400


class TestApi5BrokenFunctionLevelAuthorization:
    """Functions of staff are only available to staff."""

    def test_customers_cannot_open_the_back_office(self, mallory: User) -> None:
        client = Client()
        client.force_login(mallory)
        pages = [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry]
        assert len(pages) > 10
        with nothing_changes():
            for page in pages:
                for path in (page, f"{page}add/", f"{page}1/change/", f"{page}1/delete/"):
                    answer = client.get(path)
                    assert answer.status_code == 302, path
                    assert answer.headers["Location"].startswith("/admin/login/")
                    assert client.post(path, {}).status_code == 403, path

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_undocumented_methods_do_nothing(self, mallory: User, pen: Product, method: str) -> None:
        shopper = Shopper(mallory)
        paths = [
            f"/api/products/{pen.pk}",
            f"/api/balance/{mallory.pk}",
            "/api/orders",
            "/api/products",
            "/api/coupons",
        ]
        with nothing_changes():
            for path in paths:
                assert shopper.send(method, path, b'{"price": 1}').outcome == (405, "method_not_allowed")
                override = shopper.send("POST", path, b"{}", headers={"X-HTTP-Method-Override": method})
                assert override.status in (400, 405)


class TestApi6UnrestrictedAccessToSensitiveBusinessFlows:
    """Coupon rush: one account gets one unit and few attempts, in all its sessions together."""

    def test_one_account_with_twenty_sessions_gets_one_coupon(self, mallory: User, settings: Settings) -> None:
        settings.COUPON_ISSUES_PER_SECOND, settings.COUPON_ISSUES_AT_ONCE = 1 / 3_600, 8
        coupon = CouponFactory(total_quantity=100)
        sessions = [Shopper(access=tokens_for(user_id=mallory.pk, is_staff=False).access) for _ in range(20)]
        answers = together(
            [partial(session.post, f"/api/coupons/{coupon.pk}/issue", NO_BODY) for session in sessions], at_once=8
        )
        codes = [answer.outcome[1] for answer in answers]
        assert (codes.count(None), UserCoupon.objects.count()) == (1, 1)
        assert 10 <= codes.count("throttled") <= 12
        assert set(codes) == {None, "coupon_already_issued", "throttled"}


class TestApi7ServerSideRequestForgery:
    """The shop only calls addresses in its settings, whatever requests and partners send."""

    def test_urls_in_a_request_are_not_called(self, mallory: User, pen: Product) -> None:
        with partner_at_work() as bystander:
            urls = dict.fromkeys(("callbackUrl", "webhook", "url", "image", "DATA_PLATFORM_URL"), bystander.url)
            shopper = Shopper(mallory)
            items = [{**urls, "productId": pen.pk, "quantity": 1}]
            forwarded = {"X-Forwarded-Host": bystander.url, "Referer": bystander.url, "X-Original-URL": bystander.url}
            refused = json.dumps({**urls, "items": items}).encode()
            assert shopper.send("POST", "/api/orders", refused, headers=forwarded).status == 400
            good = json.dumps({"items": [{"productId": pen.pk, "quantity": 1}]}).encode()
            assert shopper.send("POST", "/api/orders", good, headers=forwarded).status == 200
            assert bystander.connections == 0
        assert OutboxMessage.objects.count() > 0
        assert not any(bystander.url in str(message.payload) for message in OutboxMessage.objects.all())

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_of_the_partner_is_not_followed(self, settings: Settings, status: int) -> None:
        with partner_at_work() as partner, partner_at_work() as elsewhere:
            settings.DATA_PLATFORM_URL = partner.url
            partner.status, partner.headers = status, {"Location": elsewhere.url}
            [outcome] = DataPlatformSink().deliver([message()]).values()
            assert isinstance(outcome, Failure)
            assert (len(partner.calls), elsewhere.connections) == (1, 0)


class TestApi8SecurityMisconfiguration:
    """Headers, hosts and cookies; unsafe settings: test_settings.py."""

    @pytest.mark.parametrize("path", ["/api/products", "/api/nothing", "/admin/login/", "/api/docs", "/livez"])
    def test_every_response_has_the_security_headers(self, path: str) -> None:
        headers = Client().get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        # Swagger UI sets its own policy, for login pop-ups; it only shows public data.
        assert headers["Cross-Origin-Opener-Policy"] == ("unsafe-none" if path == "/api/docs" else "same-origin")
        assert not {"Server", "X-Powered-By", "Access-Control-Allow-Origin"} & headers.keys()

    def test_the_back_office_cannot_be_framed(self) -> None:
        assert Client().get("/admin/login/").headers["X-Frame-Options"] == "DENY"

    def test_an_unknown_host_is_refused(self, settings: Settings, pen: Product) -> None:
        settings.ALLOWED_HOSTS = ["shop.example.com"]
        assert Client().get("/api/products", headers={"Host": "evil.example.com"}).status_code == 400
        forged = {"Host": "shop.example.com", "X-Forwarded-Host": "evil.example.com"}
        page = Client().get("/api/products?pageSize=1", headers=forged)
        assert page.status_code == 200
        assert b"evil" not in page.content

    def test_x_forwarded_proto_is_trusted_behind_a_proxy_only(self, settings: Settings) -> None:
        settings.SECURE_SSL_REDIRECT = True
        forged = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "Forwarded": "proto=https"}
        assert Client().get("/api/products", headers=forged).status_code == 301
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert Client().get("/api/products", headers=forged).status_code == 200

    def test_the_session_cookie_is_http_only(self, settings: Settings) -> None:
        settings.SESSION_COOKIE_SECURE = True
        StaffFactory(username="jimin", password="right horse")
        client = Client()
        client.post("/admin/login/", {"username": "jimin", "password": "right horse"})
        cookie = client.cookies[project_settings.SESSION_COOKIE_NAME]
        assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)

    def test_a_form_without_its_csrf_token_is_refused(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        assert strict.post("/admin/login/", {"username": "a", "password": "b"}).status_code == 403


class TestApi9ImproperInventoryManagement:
    """Only documented routes respond; routes, schema and contract are compared in tests/contract."""

    @pytest.mark.parametrize(
        "path",
        [
            "/.env", "/.git/config", "/api/v1/orders", "/api/v2/products", "/api/users", "/api/admin", "/api/internal",
            "/debug", "/actuator/env", "/server-status", "/phpinfo.php", "/graphql", "/api/graphql", "/swagger.json",
            "/api/schema.json", "/static/../commerce/settings.py", "/static/%2e%2e/manage.py", "/media/x",
            "/console", "/api/auth/register", "/api/auth/token/verify", "/api/products/1/stock", "/metrics/", "/env",
            "/__debug__/",
        ],
    )  # fmt: skip
    def test_common_scanner_targets_do_not_exist(self, path: str) -> None:
        answer = Client().get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")

    def test_the_only_icon_is_in_the_page(self) -> None:
        links = re.findall(r"<link [^>]*icon[^>]*>", Client().get("/admin/login/").content.decode())
        assert ['href="data:,"' in link for link in links] == [True]


class TestApi10UnsafeConsumptionOfApis:
    """Responses of partners are read up to a limit, not trusted, and shown as text."""

    @pytest.fixture
    def partner(self, settings: Settings) -> Iterator[Partner]:
        with partner_at_work() as partner:
            settings.DATA_PLATFORM_URL = partner.url
            yield partner

    @pytest.mark.parametrize("status", [200, 500])
    def test_a_huge_response_is_not_read(self, partner: Partner, status: int) -> None:
        partner.status, partner.body = status, b"x" * 50_000_000
        [outcome] = DataPlatformSink().deliver([message()]).values()
        if status == 500:
            assert isinstance(outcome, Failure)
            assert len(outcome.reason) < 400
        else:
            assert not isinstance(outcome, Failure)

    def test_markup_in_a_response_is_escaped_for_staff(self, partner: Partner, mallory: User, pen: Product) -> None:
        partner.status, partner.body = 422, b"<script>alert(1)</script>"
        order_of(mallory, {pen: 1})
        Dispatcher("data-platform").drain()
        message = OutboxMessage.objects.get(destination="data-platform")
        page = Staff(superuser=True).get("outbox_outboxmessage_change", message.pk).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page


def message() -> Message:
    return Message(1, "order-completed:1", "order-completed", "7", b"{}", 0)
