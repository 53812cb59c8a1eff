"""JSON in and out of the API.

Owns parsing (strict) and rendering (fast); never knows what the JSON means.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.utils.mediatypes import media_type_matches

from commerce.http.headers import remembered

JSON = "application/json"
_LONGEST_MEDIA_TYPE = 256


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
    """DRF's parser of the one kind of body there is."""

    media_type = JSON

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return read_json(stream)


def read_json(request: HttpRequest) -> Any:
    """The body as plain values, `{}` where there is none.

    Strict JSON: no NaN or Infinity, no key twice, no bomb of brackets, no body over the limit. Raises ParseError
    (`malformed_json`), UnsupportedMediaType, RequestDataTooBig.
    """
    meta = request.META
    length = int(meta.get("CONTENT_LENGTH") or 0)
    if length == 0:
        return {}
    content_type = meta.get("CONTENT_TYPE", "")
    if not _is_json(content_type):
        raise UnsupportedMediaType(content_type)
    if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise RequestDataTooBig
    try:
        # Decoded here, because the library guesses other encodings and lets half of a surrogate pair through.
        return _STRICT.decode(request.read().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ParseError(str(error)) from error


@remembered
def _is_json(content_type: str) -> bool:
    return len(content_type) <= _LONGEST_MEDIA_TYPE and media_type_matches(JSON, content_type)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("An object names the same key twice.")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


# Quicker parsers keep the last of two equal keys and say nothing.
_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
