"""Authentication: creates and verifies tokens, and determines the account that a request may act on.

Customers are authenticated by the token alone, because a lookup would cost every request a query. Staff are looked up
for each request.
"""

from dataclasses import dataclass
from time import time
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.crypto import constant_time_compare
from rest_framework import HTTP_HEADER_ENCODING
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from commerce.api.tokens import RefreshToken, TokenKeys, token_backend

STAFF_CLAIM = "isStaff"
PASSWORD_CLAIM = "passwordMark"  # noqa: S105  # the name of a claim
"""In refresh tokens: a value that changes with the password and does not reveal it."""
SECOND_FACTOR_CLAIM = "secondFactor"
"""In refresh tokens: the id of the device whose code was verified."""
_MARK_CHARACTERS = 22
LEEWAY_SECONDS: int = api_settings.LEEWAY
"""Tolerated clock difference between two servers: how long a token is valid before and after its period."""
MOST_VERIFIED = 20_000
"""Number of access tokens that a process caches, at about 1 KB each."""


@dataclass(frozen=True)
class Caller:
    """The account of a valid access token: customers as in the token, staff as in the database."""

    id: int
    is_staff: bool
    is_authenticated: bool = True

    @property
    def pk(self) -> int:
        return self.id


@dataclass(frozen=True, slots=True)
class _Verified:
    """The content of a token whose signature, kind and time have been verified."""

    caller: Caller
    says_staff: bool
    ends_at: float
    token: Token


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <access>`. For customers the signature is sufficient, for staff it is not.

    A token is verified once in each process and cached until it expires. Staff are looked up for every request.
    """

    def __init__(self) -> None:
        super().__init__()
        self._verified: dict[tuple[TokenKeys, str], _Verified] = {}

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        known = self._verify(request._request.META.get("HTTP_AUTHORIZATION"))
        if known is None:
            return None
        if known.says_staff:
            return Caller(known.caller.id, _is_staff_now(known.caller.id)), known.token
        return known.caller, known.token

    def token_of(self, header: str | None) -> Token | None:
        """The access token in an `Authorization` header, or None. Does not look up the account.

        Raises AuthenticationFailed.
        """
        known = self._verify(header)
        return known.token if known else None

    def get_raw_token(self, header: bytes) -> bytes | None:
        """The token. The scheme is case-insensitive (RFC 9110, 11.1)."""
        scheme, separator, rest = header.partition(b" ")
        return super().get_raw_token(scheme.title() + separator + rest)

    def _verify(self, header: str | None) -> _Verified | None:
        if header is None:
            return None
        # With other keys the same text has to be verified again.
        key = (token_backend.keys, header)
        known = self._verified.get(key)
        if known is None or known.ends_at <= time():
            token = self.get_raw_token(header.encode(HTTP_HEADER_ENCODING))
            if token is None:
                return None
            known = self._remember(key, self.get_validated_token(token))
        return known

    def _remember(self, key: tuple[TokenKeys, str], token: Token) -> _Verified:
        try:
            caller = Caller(int(token[api_settings.USER_ID_CLAIM]), is_staff=False)
        except (KeyError, ValueError) as error:
            raise InvalidToken from error
        verified = _Verified(caller, bool(token.get(STAFF_CLAIM)), float(token["exp"]) + LEEWAY_SECONDS, token)
        if len(self._verified) >= MOST_VERIFIED:
            # Tokens that were verified first also expire first, because all have the same lifetime. So half of them are
            # removed.
            for oldest in list(self._verified)[: MOST_VERIFIED // 2]:
                self._verified.pop(oldest, None)
        self._verified[key] = verified
        return verified


def _is_staff_now(user_id: int) -> bool:
    """Whether an open account has staff rights. Raises InvalidToken for an account that is closed or deleted."""
    accounts = get_user_model().objects.filter(pk=user_id, is_active=True)
    rights: bool | None = accounts.values_list("is_staff", flat=True).first()
    if rights is None:
        raise InvalidToken
    return rights


@dataclass(frozen=True)
class Tokens:
    """The tokens of a client: `access` authenticates requests, `refresh` is exchanged for a new access token."""

    access: str
    refresh: str


def tokens_for(*, user_id: int, is_staff: bool, password_mark: str = "", device_id: int | None = None) -> Tokens:
    """Create signed tokens for an account whose password has been verified.

    With the account's `password_mark_of`, the refresh token becomes invalid when the password changes; without it, it
    is valid until it expires. `device_id`: the second factor whose code has been verified.
    """
    refresh = RefreshToken()
    refresh[api_settings.USER_ID_CLAIM] = user_id
    if password_mark:
        refresh[PASSWORD_CLAIM] = password_mark
    if device_id is not None:
        refresh[SECOND_FACTOR_CLAIM] = device_id
    return Tokens(access_token(refresh, is_staff=is_staff), str(refresh))


def password_mark_of(account: AbstractBaseUser) -> str:
    """A keyed hash of the account's password hash. It changes with the password and with SECRET_KEY."""
    return account.get_session_auth_hash()[:_MARK_CHARACTERS]


def access_token(refresh: RefreshToken, *, is_staff: bool) -> str:
    """An access token for the account of `refresh`. Its staff rights are the current ones, not those at login."""
    access = refresh.access_token
    for private in (PASSWORD_CLAIM, SECOND_FACTOR_CLAIM):
        access.payload.pop(private, None)
    if is_staff:
        access[STAFF_CLAIM] = True
    return str(access)


def require_same_second_factor(refresh: RefreshToken, device_id: int | None) -> None:
    """Raise InvalidToken if staff got the token without a code of their current second factor."""
    if device_id is not None and refresh.payload.get(SECOND_FACTOR_CLAIM) != device_id:
        raise InvalidToken


def read_refresh_token(text: str) -> tuple[RefreshToken, int]:
    """The token and its user id. Raises InvalidToken."""
    try:
        refresh = RefreshToken(text)  # type: ignore[arg-type]  # the library's hint asks for its own class
        return refresh, int(refresh[api_settings.USER_ID_CLAIM])
    except (TokenError, KeyError, ValueError) as error:
        raise InvalidToken from error


def require_same_password(refresh: RefreshToken, account: AbstractBaseUser) -> None:
    """Raise InvalidToken if the token is older than the current password of the account."""
    mark = refresh.payload.get(PASSWORD_CLAIM)
    if mark is None or constant_time_compare(mark, password_mark_of(account)):
        return
    # A mark made with a previous SECRET_KEY is accepted, like tokens signed with that key.
    fallbacks = account.get_session_auth_fallback_hash()
    if not any(constant_time_compare(mark, fallback[:_MARK_CHARACTERS]) for fallback in fallbacks):
        raise InvalidToken


def caller_of(request: Request) -> Caller:
    """The caller of an authenticated request. Raises NotAuthenticated for other requests."""
    if not isinstance(request.user, Caller):
        raise NotAuthenticated
    return request.user


def account_of(request: Request, user_id: int | None, *, right: str) -> int:
    """The account that a request acts on: the caller's own, or any account for staff with `right`.

    Raises PermissionDenied for another account.
    """
    caller = caller_of(request)
    if user_id is None or user_id == caller.id:
        return caller.id
    require_right(caller, right)
    return user_id


def has_right(caller: Caller, right: str) -> bool:
    """Whether the caller is staff and has a permission of the back-office, such as `orders.cancel_order`."""
    if not caller.is_staff:
        return False
    account = get_user_model()._default_manager.filter(pk=caller.id).first()
    return account is not None and account.has_perm(right)


def require_right(caller: Caller, right: str) -> None:
    """Raise PermissionDenied if the caller does not have the right."""
    if not has_right(caller, right):
        raise PermissionDenied
