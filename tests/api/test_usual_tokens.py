"""Access tokens in the usual form are verified without the library, which has to agree."""

import base64
import hmac
import json
from time import time
from typing import Any

import jwt
import pytest
from django.conf import settings as project_settings
from hypothesis import given
from hypothesis import strategies as st
from rest_framework_simplejwt.exceptions import TokenBackendError

from benchmarks.tokens import TokenMint
from commerce.api.authentication import tokens_for
from commerce.api.tokens import TokenKeys, key_id, token_backend

KEY = str(project_settings.JWT_SIGNING_KEY)
LEEWAY = project_settings.SIMPLE_JWT["LEEWAY"]


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time())
    usual = {"token_type": "access", "exp": now + 900, "iat": now, "jti": "0" * 32, "userId": 7}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def signed(content: Any, *, key: str = KEY, header: dict[str, Any] | None = None) -> bytes:
    parts = (header or {"alg": "HS256", "kid": key_id(KEY), "typ": "JWT"}, content)
    text = b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return text + b"." + _encoded(hmac.digest(key.encode(), text, "sha256"))


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def of_library(token: bytes) -> dict[str, Any] | None:
    for backend in token_backend.keys.that_may_have_signed(token):
        try:
            return backend.decode(token)  # type: ignore[arg-type]  # the hint names its own class
        except TokenBackendError:
            continue
    return None


def usual(token: bytes) -> dict[str, Any] | None:
    return token_backend.keys.claims_of_usual(token)


@pytest.mark.parametrize("is_staff", [False, True])
def test_tokens_of_the_shop_do_not_need_the_library(monkeypatch: pytest.MonkeyPatch, is_staff: bool) -> None:
    token = tokens_for(user_id=7, is_staff=is_staff).access.encode()
    expected = of_library(token)
    monkeypatch.setattr(jwt, "decode", None)
    assert token_backend.decode(token) == expected
    assert expected is not None
    assert expected["userId"] == 7


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(), key="another key, as long as ours should be"),
        signed(claims(), header={"alg": "none", "typ": "JWT"}),
        signed(claims(), header={"alg": "HS256", "kid": "0" * 16, "typ": "JWT"}),
        signed(claims(exp=int(time()) - LEEWAY - 1)),
        signed(claims(iat=int(time()) + LEEWAY + 86_400)),
        signed(claims(nbf=int(time()) + 86_400)),
        signed(claims(jti=5)),
        signed(claims(exp="tomorrow")),
        signed([1, 2]),
        signed("text"),
        signed(claims())[:-1],
        signed(claims()) + b"A",
        signed(claims()).replace(b".", b"", 1),
        signed(claims()).rpartition(b".")[0] + b".",
        b"..",
        b"",
    ],
)
def test_neither_accepts_it(token: bytes) -> None:
    assert usual(token) is None
    with pytest.raises(TokenBackendError):
        token_backend.decode(token)


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(), header={"alg": "HS256", "typ": "JWT"}),
        signed(claims(), header={"typ": "JWT", "kid": key_id(KEY), "alg": "HS256"}),
        signed(claims(aud="another shop")),
        signed(claims(iat=None)),
        signed(claims(exp=time() + 900)),
    ],
    ids=["no key id", "another order", "another claim", "no time of issue", "a fraction of a second"],
)
def test_the_library_verifies_other_valid_tokens(token: bytes) -> None:
    assert usual(token) is None
    assert token_backend.decode(token) == of_library(token) is not None


def test_a_forged_token_is_refused_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = [
        signed(claims(), key="another key, as long as ours should be"),
        signed(claims()) + b"A",
        signed(claims())[:-2],
    ]
    assert [of_library(token) for token in forged] == [None] * 3
    monkeypatch.setattr(TokenKeys, "that_may_have_signed", None)
    for token in forged:
        with pytest.raises(TokenBackendError, match="has not signed it"):
            token_backend.decode(token)


def test_a_token_of_a_previous_key_is_usual_too() -> None:
    keys = TokenKeys.of(["the key of today, which is long enough", KEY])
    assert keys.claims_of_usual(signed(claims())) is not None
    assert TokenKeys.of(["the key of today, which is long enough"]).claims_of_usual(signed(claims())) is None


@given(
    st.dictionaries(
        st.sampled_from(["token_type", "exp", "iat", "jti", "userId", "isStaff", "nbf", "aud", "sub"]),
        st.none() | st.booleans() | st.integers(-5, 2**33) | st.text(max_size=5) | st.floats(allow_nan=False),
    ),
    st.integers(0, 400),
)
def test_the_library_accepts_all_tokens_of_the_usual_form(changes: dict[str, Any], damaged: int) -> None:
    token = bytearray(signed(claims(**changes)))
    if damaged < len(token):
        token[damaged] ^= 1
    found = usual(bytes(token))
    assert found is None or found == of_library(bytes(token))
    assert not (token_backend.keys.is_forged(bytes(token)) and of_library(bytes(token)))


def test_tokens_of_the_benchmark_have_the_usual_form() -> None:
    found = usual(TokenMint(KEY).token(7).encode())
    assert found is not None
    assert found["userId"] == 7
