"""`POST /api/auth/token`, `POST /api/auth/token/refresh`, and tokens that must be refused."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as project_settings
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.api.tokens import AccessToken, RefreshToken, key_id
from tests.factories import CouponFactory, StaffFactory, UserFactory
from tests.shop_state import nothing_changes, statements
from tests.shopper import Answer, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "right horse"


@pytest.fixture
def user() -> User:
    return UserFactory(username="jimin", password=PASSWORD, balance=5_000)


def test_a_login_returns_two_tokens(user: User, stranger: Shopper) -> None:
    with statements() as ran:
        answer = stranger.post("/api/auth/token", {"username": "jimin", "password": PASSWORD})
    assert answer.status == 200
    assert answer.json.keys() == {"access", "refresh"}
    assert len(ran) == 1
    balance = Shopper(access=answer.json["access"]).get(f"/api/balance/{user.pk}")
    assert balance.json == {"userId": user.pk, "balance": 5_000}


def test_the_access_token_contains_nothing_private(user: User, stranger: Shopper) -> None:
    access = stranger.post("/api/auth/token", {"username": "jimin", "password": PASSWORD}).json["access"]
    claims = json.loads(base64.urlsafe_b64decode(access.split(".")[1] + "=="))
    assert claims["userId"] == user.pk
    assert claims["exp"] - claims["iat"] == 900
    assert claims.keys() == {"token_type", "exp", "iat", "jti", "userId"}


@pytest.mark.parametrize(
    "body",
    [{"username": "jimin", "password": "wrong"}, {"username": "nobody", "password": PASSWORD}],
    ids=["wrong password", "unknown name"],
)
def test_a_wrong_login_does_not_reveal_what_is_wrong(user: User, stranger: Shopper, body: dict[str, str]) -> None:
    with nothing_changes():
        answer = stranger.post("/api/auth/token", body)
    assert answer.outcome == (401, "not_authenticated")
    assert answer.json["detail"] == "These credentials are not valid."


def test_a_closed_account_cannot_log_in(user: User, stranger: Shopper) -> None:
    User.objects.update(is_active=False)
    answer = stranger.post("/api/auth/token", {"username": "jimin", "password": PASSWORD})
    assert answer.outcome == (401, "not_authenticated")


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("username", "required"), ("password", "required")]),
        ({"username": "", "password": ""}, [("username", "blank"), ("password", "blank")]),
        ({"username": None, "password": 5}, [("username", "null")]),
        ({"username": "x" * 151, "password": "y" * 129}, [("username", "max_length"), ("password", "max_length")]),
        ({"username": ["a"], "password": {"b": 1}}, [("username", "invalid"), ("password", "invalid")]),
        ({"username": "a\u0000b", "password": "x"}, [("username", "null_characters_not_allowed")]),
    ],
)
def test_an_invalid_login_body_is_refused(
    stranger: Shopper, body: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    answer = stranger.post("/api/auth/token", body)
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == errors


def test_a_refresh_token_is_exchanged_for_an_access_token(user: User, stranger: Shopper) -> None:
    refresh = tokens_for(user_id=user.pk, is_staff=False).refresh
    with statements() as ran:
        answer = stranger.post("/api/auth/token/refresh", {"refresh": refresh})
    assert answer.status == 200
    assert answer.json.keys() == {"access"}
    assert len(ran) == 1
    assert Shopper(access=answer.json["access"]).get(f"/api/balance/{user.pk}").status == 200


def test_staff_rights_end_with_the_next_refresh(stranger: Shopper) -> None:
    clerk, customer = StaffFactory(), UserFactory(balance=1)
    tokens = tokens_for(user_id=clerk.pk, is_staff=True)
    User.objects.filter(pk=clerk.pk).update(is_staff=False)
    access = stranger.post("/api/auth/token/refresh", {"refresh": tokens.refresh}).json["access"]
    assert Shopper(access=access).get(f"/api/balance/{customer.pk}").outcome == (403, "permission_denied")


def test_the_refresh_of_a_closed_account_is_refused(user: User, stranger: Shopper) -> None:
    refresh = tokens_for(user_id=user.pk, is_staff=False).refresh
    User.objects.update(is_active=False)
    answer = stranger.post("/api/auth/token/refresh", {"refresh": refresh})
    assert answer.outcome == (401, "token_not_valid")
    assert answer.json["detail"] == "The account of this token is closed."


def _forged(**changes: Any) -> str:
    claims = {
        "token_type": "access",
        "exp": timezone.now() + timedelta(hours=1),
        "iat": timezone.now(),
        "jti": "0" * 32,
        "userId": "1",
    }
    return jwt.encode({**claims, **changes}, "another key, as long as ours should be", algorithm="HS256")


def _unsigned(user_id: int) -> str:
    claims = {"token_type": "access", "exp": timezone.now() + timedelta(hours=1), "jti": "0", "userId": str(user_id)}
    return jwt.encode(claims, "", algorithm="none")


def _signed_by_us(**claims: Any) -> str:
    key = str(project_settings.SIMPLE_JWT["SIGNING_KEY"])
    return jwt.encode({"exp": timezone.now() + timedelta(hours=1), "jti": "0", **claims}, key, algorithm="HS256")


def _expired(user_id: int) -> str:
    token = AccessToken()
    token["userId"] = user_id
    token.set_exp(lifetime=timedelta(seconds=-6))
    return str(token)


NO_KID = object()


@pytest.mark.parametrize(
    ("kid", "outcome"),
    [
        (key_id(str(project_settings.JWT_SIGNING_KEY)), (200, None)),
        (NO_KID, (200, None)),
        (None, (401, "token_not_valid")),
        ("", (401, "token_not_valid")),
        ("0" * 16, (401, "token_not_valid")),
        (7, (401, "token_not_valid")),
    ],
)
def test_a_tokens_kid_must_be_a_known_key(user: User, kid: Any, outcome: tuple[int, str | None]) -> None:
    """Tokens of earlier releases have no `kid`. A token with a `kid` is only verified with that key."""
    claims = {"exp": timezone.now() + timedelta(hours=1), "jti": "0", "token_type": "access", "userId": str(user.pk)}
    parts = [
        json.dumps({"alg": "HS256", "typ": "JWT", **({} if kid is NO_KID else {"kid": kid})}),
        json.dumps(claims, default=_as_number),
    ]
    signed = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts)
    mac = hmac.digest(str(project_settings.JWT_SIGNING_KEY).encode(), signed, "sha256")
    token = (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    assert Shopper(access=token).get(f"/api/balance/{user.pk}").outcome == outcome


def _as_number(moment: Any) -> int:
    return int(moment.timestamp())


def test_a_new_token_has_a_kid(user: User) -> None:
    tokens = tokens_for(user_id=user.pk, is_staff=False)
    named = {jwt.get_unverified_header(token)["kid"] for token in (tokens.access, tokens.refresh)}
    assert named == {key_id(str(project_settings.JWT_SIGNING_KEY))}


@pytest.mark.parametrize("text", ["abc", "a.b.c", "", "e30.e30.e30", "x" * 5_000])
def test_an_invalid_refresh_token_is_refused(stranger: Shopper, text: str) -> None:
    answer = stranger.post("/api/auth/token/refresh", {"refresh": text})
    expected = (401, "token_not_valid") if 0 < len(text) <= 4_096 else (400, "validation_error")
    assert answer.outcome == expected


def test_an_access_token_is_refused_as_a_refresh_token(user: User, stranger: Shopper) -> None:
    access = tokens_for(user_id=user.pk, is_staff=False).access
    assert stranger.post("/api/auth/token/refresh", {"refresh": access}).outcome == (401, "token_not_valid")


def test_a_refresh_token_without_a_user_is_refused(stranger: Shopper) -> None:
    assert stranger.post("/api/auth/token/refresh", {"refresh": str(RefreshToken())}).outcome == (
        401,
        "token_not_valid",
    )


def _bad_tokens(user_id: int) -> dict[str, str]:
    return {
        "alg none": _unsigned(user_id),
        "another key": _forged(userId=str(user_id)),
        "expired": _expired(user_id),
        "refresh as access": tokens_for(user_id=user_id, is_staff=False).refresh,
        "no user": _signed_by_us(token_type="access"),
        "a user that is no number": _signed_by_us(token_type="access", userId="jimin"),
        "no kind": _signed_by_us(userId=str(user_id)),
        "no token at all": "abc",
    }


@pytest.mark.parametrize("kind", list(_bad_tokens(1)))
def test_an_invalid_token_is_refused(user: User, kind: str) -> None:
    shopper = Shopper(access=_bad_tokens(user.pk)[kind])
    with nothing_changes(), statements() as ran:
        read = shopper.get(f"/api/balance/{user.pk}")
        write = shopper.post("/api/balance/charge", {"amount": 1})
    assert read.outcome == (401, "token_not_valid")
    assert write.outcome == (401, "token_not_valid")
    assert read.json["detail"] == "The token has expired or was not issued by this shop."
    assert ran == []


def test_a_token_with_a_changed_payload_is_refused(user: User) -> None:
    header, payload, signature = tokens_for(user_id=user.pk, is_staff=False).access.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["isStaff"] = True
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    shopper = Shopper(access=f"{header}.{forged}.{signature}")
    assert shopper.get(f"/api/balance/{user.pk}").outcome == (401, "token_not_valid")


@pytest.mark.parametrize("authorization", ["Basic amltaW46cHc=", "Bearer", "bearer", "Token abc", ""])
def test_another_authorization_scheme_is_anonymous(user: User, stranger: Shopper, authorization: str) -> None:
    answer = stranger.get(f"/api/balance/{user.pk}", headers={"Authorization": authorization})
    assert answer.status == 401
    assert answer.json["code"] in ("not_authenticated", "token_not_valid")


def test_a_header_with_a_user_id_is_ignored(user: User, stranger: Shopper) -> None:
    forged = {"X-User-Id": str(user.pk), "X-Forwarded-User": "jimin", "Remote-User": "jimin"}
    assert stranger.get(f"/api/balance/{user.pk}", headers=forged).outcome == (401, "not_authenticated")


PRIVATE = [
    ("GET", "/api/balance/1"),
    ("POST", "/api/balance/charge"),
    ("GET", "/api/users/balance/history"),
    ("POST", "/api/coupons/1/issue"),
    ("GET", "/api/users/coupons"),
    ("POST", "/api/orders"),
    ("GET", "/api/users/orders"),
    ("GET", "/api/orders/1"),
    ("POST", "/api/orders/1/cancel"),
]


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_every_private_endpoint_requires_a_token(stranger: Shopper, method: str, path: str) -> None:
    with statements() as ran:
        assert stranger.send(method, path).outcome == (401, "not_authenticated")
        assert Shopper(access="abc").send(method, path).outcome == (401, "token_not_valid")
    assert ran == []


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_scheme_may_be_written_in_any_case(user: User, stranger: Shopper, scheme: str) -> None:
    access = tokens_for(user_id=user.pk, is_staff=False).access
    answer = stranger.get(f"/api/balance/{user.pk}", headers={"Authorization": f"{scheme} {access}"})
    assert answer.json == {"userId": user.pk, "balance": 5_000}


@pytest.mark.parametrize("kind", list(_bad_tokens(1)))
def test_an_invalid_token_is_ignored_by_public_endpoints(user: User, kind: str) -> None:
    shopper, coupon = Shopper(access=_bad_tokens(user.pk)[kind]), CouponFactory()
    assert [each["id"] for each in shopper.get("/api/coupons").json["results"]] == [coupon.pk]
    assert shopper.post(f"/api/coupons/{coupon.pk}/issue").outcome == (401, "token_not_valid")


@pytest.mark.parametrize(("seconds", "status"), [(-3, 200), (-8, 401)])
def test_an_expired_token_is_accepted_within_the_leeway(user: User, seconds: int, status: int) -> None:
    token = AccessToken()
    token["userId"] = user.pk
    token.set_exp(lifetime=timedelta(seconds=seconds))
    assert Shopper(access=str(token)).get(f"/api/balance/{user.pk}").status == status


@pytest.mark.parametrize(("seconds", "status"), [(3, 200), (8, 401)])
def test_a_token_from_a_clock_ahead_is_accepted(user: User, seconds: int, status: int) -> None:
    access = _signed_by_us(token_type="access", userId=user.pk, iat=timezone.now() + timedelta(seconds=seconds))
    assert Shopper(access=access).get(f"/api/balance/{user.pk}").status == status


class TestTheSecondFactor:
    """The second factor of staff, required for tokens as in the back-office."""

    @pytest.fixture
    def device(self) -> TOTPDevice:
        clerk = StaffFactory(username="clerk", password=PASSWORD)
        device: TOTPDevice = TOTPDevice.objects.create(user=clerk, name="app")
        return device

    def ask(self, **more: str) -> Answer:
        return Shopper().post("/api/auth/token", {"username": "clerk", "password": PASSWORD, **more})

    @pytest.mark.parametrize("more", [{}, {"otp": "000000"}, {"otp": "abc"}], ids=str)
    def test_is_required(self, device: TOTPDevice, more: dict[str, str]) -> None:
        answer = self.ask(**more)
        assert answer.outcome == (401, "not_authenticated")
        assert answer.json["otpRequired"] is True

    def test_a_code_is_accepted_once(self, device: TOTPDevice) -> None:
        code = code_of(device)
        tokens = self.ask(otp=code)
        assert tokens.status == 200
        assert self.ask(otp=code).status == 401
        refresh = {"refresh": tokens.json["refresh"]}
        assert Shopper().post("/api/auth/token/refresh", refresh).status == 200

    def test_invalidates_earlier_refresh_tokens(self, device: TOTPDevice) -> None:
        old = tokens_for(user_id=device.user_id, is_staff=True).refresh
        answer = Shopper().post("/api/auth/token/refresh", {"refresh": old})
        assert answer.outcome == (401, "token_not_valid")

    def test_is_not_revealed_with_a_wrong_password(self, device: TOTPDevice) -> None:
        answer = self.ask(password="wrong")
        assert (answer.outcome, answer.json.get("otpRequired")) == ((401, "not_authenticated"), None)


def code_of(device: TOTPDevice) -> str:
    return f"{TOTP(device.bin_key, device.step, device.t0, device.digits).token():06}"
