"""The signing keys of tokens: one key signs, and all listed keys are accepted, which allows rotation.

A `kid` identifies the key of a token. The claims are defined in `authentication`.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

import jwt
import orjson
from django.conf import settings
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken
from rest_framework_simplejwt.settings import api_settings

_KEY_ID_CHARACTERS = 16
_USUAL_CLAIMS = {"token_type", "exp", "iat", "jti", "userId", "isStaff"}


def key_id(key: str) -> str:
    """The `kid` of a key: a MAC made with the key, like each signature, so it does not reveal more about the key."""
    return hmac.new(key.encode(), b"kid", hashlib.sha256).hexdigest()[:_KEY_ID_CHARACTERS]


@dataclass(frozen=True, eq=False)
class TokenKeys:
    """A set of keys. Two sets are never equal, even with the same keys.

    Attributes:
        signing_id: the `kid` of new tokens.
        by_id: the backend of each key; the signing key's is the first.
        by_header: each key by the first part of the tokens that it signs.
    """

    signing_id: str
    by_id: Mapping[str, TokenBackend]
    by_header: Mapping[bytes, bytes]

    @classmethod
    def of(cls, keys: Sequence[str]) -> "TokenKeys":
        """A set in which the first key signs and all keys are accepted."""
        backends = {
            key_id(key): TokenBackend(api_settings.ALGORITHM, signing_key=key, leeway=api_settings.LEEWAY)
            for key in keys
        }
        return cls(key_id(keys[0]), backends, {_header_of(key): key.encode() for key in keys})

    def that_may_have_signed(self, token: str | bytes) -> Sequence[TokenBackend]:
        """The backend for the token's `kid`; all backends for a token without one, which is older than key ids."""
        try:
            signed_by = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            return ()
        if signed_by is None:
            return tuple(self.by_id.values())
        backend = self.by_id.get(signed_by)
        return () if backend is None else (backend,)

    def claims_of_usual(self, token: bytes) -> dict[str, Any] | None:
        """The claims of a valid access token that has exactly the form in which the shop issues them; None for others.

        Takes a tenth of the library's time. The library verifies all other tokens, and gives the reason if one is
        invalid.
        """
        content, _, signature = token.rpartition(b".")
        header, _, claims = content.partition(b".")
        key = self.by_header.get(header)
        if key is None or not hmac.compare_digest(_encoded(hmac.digest(key, content, hashlib.sha256)), signature):
            return None
        try:
            found = orjson.loads(urlsafe_b64decode(claims + b"=="))
        except ValueError:
            return None
        if type(found) is not dict or not found.keys() <= _USUAL_CLAIMS or type(found.get("jti")) is not str:
            return None
        begins, ends, now, leeway = found.get("iat"), found.get("exp"), time(), api_settings.LEEWAY
        if type(begins) is not int or type(ends) is not int or not begins - leeway <= now < ends + leeway:
            return None
        return found

    def is_forged(self, token: bytes) -> bool:
        """Whether a token names one of the keys in the usual header, and that key has not signed it.

        The library refuses each of these tokens too, in many times the time.
        """
        content, _, signature = token.rpartition(b".")
        key = self.by_header.get(content.partition(b".")[0])
        if key is None:
            return False
        try:
            given = urlsafe_b64decode(signature + b"==")
        except ValueError:
            return True
        return not hmac.compare_digest(hmac.digest(key, content, hashlib.sha256), given)


def _header_of(key: str) -> bytes:
    return (
        jwt.encode({}, key, algorithm=api_settings.ALGORITHM, headers={"kid": key_id(key)}).partition(".")[0].encode()
    )


def _encoded(signature: bytes) -> bytes:
    return urlsafe_b64encode(signature).rstrip(b"=")


class KeyedTokenBackend(TokenBackend):
    """The library's backend, extended with a `kid` and several keys.

    Attributes:
        keys: replaced as a whole; tokens that were verified with other keys have to be verified again.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(api_settings.ALGORITHM, leeway=api_settings.LEEWAY)
        self.keys = TokenKeys.of(keys)

    def encode(self, payload: dict[str, Any]) -> str:
        """A signed token with the `kid` in its header."""
        keys = self.keys
        signing_key = keys.by_id[keys.signing_id].prepared_signing_key
        return jwt.encode(payload, signing_key, algorithm=self.algorithm, headers={"kid": keys.signing_id})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """The claims of the token. Raises TokenBackendError if no key has signed it or it has expired."""
        if isinstance(token, bytes) and verify:
            usual = self.keys.claims_of_usual(token)
            if usual is not None:
                return usual
            if self.keys.is_forged(token):
                raise TokenBackendError("The key that the token names has not signed it.")
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
