"""Who is calling: the account a token names, and whose account it may act on.

Owns making and reading tokens; never loads a user, which would cost every request a query.
"""

from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, Token

STAFF_CLAIM = "isStaff"


@dataclass(frozen=True)
class Caller:
    """The account behind a valid access token, as the token tells it."""

    id: int
    is_staff: bool
    is_authenticated: bool = True

    @property
    def pk(self) -> int:
        return self.id


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <access>`, believed by its signature alone."""

    def get_user(self, validated_token: Token) -> Any:
        try:
            return Caller(int(validated_token[api_settings.USER_ID_CLAIM]), bool(validated_token.get(STAFF_CLAIM)))
        except (KeyError, ValueError) as error:
            raise InvalidToken from error


@dataclass(frozen=True)
class Tokens:
    """What a caller keeps: `access` for the requests of the next hour, `refresh` to get another one."""

    access: str
    refresh: str


def tokens_for(*, user_id: int, is_staff: bool) -> Tokens:
    """Signed tokens for an account whose password has been checked."""
    refresh = RefreshToken()
    refresh[api_settings.USER_ID_CLAIM] = user_id
    return Tokens(access_token(refresh, is_staff=is_staff), str(refresh))


def access_token(refresh: RefreshToken, *, is_staff: bool) -> str:
    """An access token of the account that `refresh` names. Staff rights are as of now, not as of the login."""
    access = refresh.access_token
    if is_staff:
        access[STAFF_CLAIM] = True
    return str(access)


def read_refresh_token(text: str) -> tuple[RefreshToken, int]:
    """The token and its user id. Raises InvalidToken."""
    try:
        refresh = RefreshToken(text)  # type: ignore[arg-type]  # the library's hint asks for its own class
        return refresh, int(refresh[api_settings.USER_ID_CLAIM])
    except (TokenError, KeyError, ValueError) as error:
        raise InvalidToken from error


def caller_of(request: Request) -> Caller:
    """The caller of an authenticated request. Raises NotAuthenticated without one."""
    if not isinstance(request.user, Caller):
        raise NotAuthenticated
    return request.user


def account_of(request: Request, user_id: int | None) -> int:
    """The account a request acts on: the caller's own, or for staff any.

    Raises PermissionDenied for someone else's account.
    """
    caller = caller_of(request)
    if user_id is None or user_id == caller.id:
        return caller.id
    if not caller.is_staff:
        raise PermissionDenied
    return user_id
