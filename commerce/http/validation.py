"""From a request to values that fit.

Owns the one call that every view starts with; the rules of each body stand in the app's serializers.
"""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer


def body_of(request: Request, serializer: type[Serializer[Any]]) -> dict[str, Any]:
    """The validated body. Raises ValidationError, or ParseError for a body that is not JSON."""
    return _validated(serializer(data=request.data))


def query_of(request: Request, serializer: type[Serializer[Any]]) -> dict[str, Any]:
    """The validated query parameters. Raises ValidationError."""
    return _validated(serializer(data=request.query_params.dict()))


def _validated(serializer: Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values
