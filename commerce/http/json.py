"""JSON in and out of the API.

Owns parsing (strict) and rendering (fast); never knows what the JSON means.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

JSON = "application/json"


def dump(value: Any) -> bytes:
    """JSON bytes of plain values; times are ISO 8601 already, so that they keep the shop's time zone."""
    return orjson.dumps(value, default=str)


def json_response(body: bytes, *, status: int = 200, content_type: str = JSON) -> HttpResponse:
    """Bytes that are JSON already, past DRF's negotiation and rendering."""
    return HttpResponse(body, status=status, content_type=content_type)


class JSONRenderer(BaseRenderer):
    """DRF's JSON renderer on orjson."""

    media_type = JSON
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else dump(data)


class JSONParser(BaseParser):
    """Strict JSON: no NaN or Infinity, no key twice, no bomb of brackets, no body over the limit.

    Raises ParseError (`malformed_json`), RequestDataTooBig.
    """

    media_type = JSON

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        if int(stream.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig
        try:
            # Decoded here, because the library guesses other encodings and lets half of a surrogate pair through.
            text = stream.read().decode("utf-8")
            return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError(str(error)) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("An object names the same key twice.")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")
