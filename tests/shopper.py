"""A client of the API with a token.

It sends JSON, the token and the idempotency key, and validates every response against the schema. Clients share neither
cookies nor connections.
"""

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.test import Client

from balances.models import User
from commerce.api.authentication import tokens_for
from tests import documented

NO_BODY: Any = object()


class Answer:
    """A response."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.content = response.content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotent-Replayed") == "true"

    @property
    def outcome(self) -> tuple[int, str | None]:
        """The status and, for a refusal, its code."""
        return self.status, self.json.get("code") if self.status >= 400 else None

    def __repr__(self) -> str:
        return f"<{self.status} {self.content[:500]!r}>"


class Shopper:
    """Sends requests with the token of one caller, or without one."""

    def __init__(self, user: User | None = None, *, access: str | None = None, language: str | None = None) -> None:
        if user is not None:
            access = tokens_for(user_id=user.pk, is_staff=user.is_staff).access
        self.headers = {"Authorization": f"Bearer {access}"} if access else {}
        if language:
            self.headers["Accept-Language"] = language
        self._client = Client()

    def get(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """GET with query parameters, from a mapping or as keywords; `from_` stands for `from`."""
        parameters = {name.rstrip("_"): value for name, value in {**(query or {}), **more}.items()}
        response = self._client.get(path, parameters, headers={**self.headers, **(headers or {})})
        return self._checked("GET", path.partition("?")[0], response)

    def post(
        self, path: str, body: Any = NO_BODY, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST `body` as JSON, or without a body; `key` is the Idempotency-Key."""
        content = b"" if body is NO_BODY else json.dumps(body).encode()
        return self.send(
            "POST", path, content, headers={**({"Idempotency-Key": key} if key else {}), **(headers or {})}
        )

    def send(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any method with any body."""
        given = {**self.headers, **(headers or {})}
        response = self._client.generic(method, path, content, content_type, headers=given)
        return self._checked(method, path.partition("?")[0], response)

    @staticmethod
    def _checked(method: str, path: str, response: Any) -> Answer:
        assert response.headers["X-Request-ID"]
        if path.startswith("/api/") and path not in ("/api/schema", "/api/docs"):
            documented.check(method, path, response)
        return Answer(response)
