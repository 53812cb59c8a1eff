"""JSON of the API: strict parsing and fast rendering."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.utils.mediatypes import media_type_matches

from commerce.server.headers import remembered

JSON = "application/json"
_LONGEST_MEDIA_TYPE = 256


def dump(value: Any) -> bytes:
    """JSON bytes of plain values and translated text. Times must already be ISO 8601 text in the shop's time zone.

    Raises TypeError for other values, such as a model or a Decimal.
    """
    return orjson.dumps(value, default=_translated)


def _translated(value: Any) -> str:
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"A {type(value).__name__} is not a value of JSON.")


def json_response(body: bytes, *, status: int = 200, content_type: str = JSON) -> HttpResponse:
    """A response whose body is already JSON. Skips DRF's negotiation and rendering."""
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
    """DRF's parser for JSON, the only supported format."""

    media_type = JSON

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return read_json(stream)


def read_json(request: HttpRequest) -> Any:
    """The body as plain values, `{}` if there is none.

    Strict JSON: NaN, Infinity, duplicate keys, deep nesting and bodies over the size limit are refused. Raises
    ParseError (`malformed_json`), UnsupportedMediaType, RequestDataTooBig.
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
    body = request.read()
    try:
        # Decoded here, because the library guesses other encodings and accepts unpaired surrogates.
        return _STRICT.decode(body.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ParseError(_at(_NOT_JSON, error.lineno, error.colno)) from error
    except UnicodeDecodeError as error:
        before = body[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        raise ParseError(_at(_NOT_UTF_8, before.count(b"\n") + 1, column)) from error
    except RecursionError as error:
        raise ParseError(_("The body is nested too deeply.")) from error
    except ValueError as error:
        # Python refuses to parse numbers of more than some thousand digits.
        raise ParseError(_("The body has a number with too many digits.")) from error


_NOT_JSON = gettext_noop("The body is not JSON: look at line %(line)d, column %(column)d.")
_NOT_UTF_8 = gettext_noop("The body is not UTF-8: look at line %(line)d, column %(column)d.")


def _at(sentence: str, line: int, column: int) -> str:
    return _(sentence) % {"line": line, "column": column}


@remembered
def _is_json(content_type: str) -> bool:
    return len(content_type) <= _LONGEST_MEDIA_TYPE and media_type_matches(JSON, content_type)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ParseError(_("The body has an object that names the same key twice."))
    return values


def _no_constant(name: str) -> NoReturn:
    raise ParseError(_("The body is not JSON: %(name)s is not a number.") % {"name": name})


# Not a faster parser: they keep the last of two equal keys without an error.
_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
