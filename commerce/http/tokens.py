"""The keys of tokens: one signs, and the ones of before or of the next change are accepted while they are listed.

Owns which key signed a token (`kid`); what a token says, `authentication` knows.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken
from rest_framework_simplejwt.settings import api_settings

_KEY_ID_CHARACTERS = 16


def key_id(key: str) -> str:
    """The `kid` of a key. It is a MAC made with the key, as each signature is, so it says no more about the key."""
    return hmac.new(key.encode(), b"kid", hashlib.sha256).hexdigest()[:_KEY_ID_CHARACTERS]


@dataclass(frozen=True, eq=False)
class TokenKeys:
    """The keys of one moment; another set is never equal to it.

    Attributes:
        signing_id: the `kid` of new tokens.
        by_id: the backend of each key; the signing key's is the first.
    """

    signing_id: str
    by_id: Mapping[str, TokenBackend]

    @classmethod
    def of(cls, keys: Sequence[str]) -> "TokenKeys":
        """The first of `keys` signs, and tokens of all of them are accepted."""
        backends = {
            key_id(key): TokenBackend(api_settings.ALGORITHM, signing_key=key, leeway=api_settings.LEEWAY)
            for key in keys
        }
        return cls(key_id(keys[0]), backends)

    def that_may_have_signed(self, token: str | bytes) -> Sequence[TokenBackend]:
        """The backend of the token's `kid`; of a token without one, from before there were any, all."""
        try:
            signed_by = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            return ()
        if signed_by is None:
            return tuple(self.by_id.values())
        backend = self.by_id.get(signed_by)
        return () if backend is None else (backend,)


class KeyedTokenBackend(TokenBackend):
    """The library's backend, with a `kid` and several keys.

    Attributes:
        keys: replaced as a whole; what was verified with other keys has to be verified again.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(api_settings.ALGORITHM, leeway=api_settings.LEEWAY)
        self.keys = TokenKeys.of(keys)

    def encode(self, payload: dict[str, Any]) -> str:
        """The signed token, whose header names its key."""
        keys = self.keys
        signing_key = keys.by_id[keys.signing_id].prepared_signing_key
        return jwt.encode(payload, signing_key, algorithm=self.algorithm, headers={"kid": keys.signing_id})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """What the token says. Raises TokenBackendError unless one of the keys signed it and it has not expired."""
        for backend in self.keys.that_may_have_signed(token):
            try:
                return backend.decode(token, verify)
            except TokenBackendExpiredToken:
                raise
            except TokenBackendError:
                continue
        raise TokenBackendError("None of the keys signed this token.")


token_backend = KeyedTokenBackend([settings.JWT_SIGNING_KEY, *settings.JWT_SIGNING_KEY_FALLBACKS])


class AccessToken(tokens.AccessToken):
    """A token that authenticates requests."""

    _token_backend = token_backend


class RefreshToken(tokens.RefreshToken):
    """A token that is exchanged for another access token."""

    _token_backend = token_backend
    access_token_class = AccessToken
