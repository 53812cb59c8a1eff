"""Formats of log lines: JSON for machines, text for a terminal.

Adds the ids of the request, account and trace, and removes secrets. The settings choose the destination of the lines.
"""

import logging
import re
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar

from django.utils.functional import SimpleLazyObject
from pythonjsonlogger.core import LogData
from pythonjsonlogger.json import JsonFormatter

from commerce.core import tracing
from commerce.core.process import process_name

current_request: ContextVar[Any] = ContextVar("current_request", default=None)
"""The request that is being processed here, with its `request_id`; None outside of requests."""
NOBODY = "-"
HIDDEN = "[hidden]"
_SHORTEST_SECRET = 8
"""Shorter values of settings also occur as ordinary words in log lines. They are not treated as secrets."""


class RequestFilter(logging.Filter):
    """Adds the ids of the request, the account and the trace to each record; `-` if there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs a failed request after the middleware has finished, and passes the request with the record.
        request = getattr(record, "request", None) or current_request.get()
        record.request_id = getattr(request, "request_id", NOBODY)
        record.user_id = NOBODY if request is None else _user_id(request)
        record.trace_id = tracing.trace_id() if tracing.on else NOBODY
        return True


class UnavailableFilter(logging.Filter):
    """Drops the lines of responses with status 503. Under overload there would be one for each; metrics count them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE


def _user_id(request: Any) -> str:
    """The account of a request if it is already loaded. A log line never causes a query."""
    known = getattr(request, "__dict__", {})
    user = known.get("_cached_user") or known.get("user")
    identifier = None if type(user) is SimpleLazyObject else getattr(user, "pk", None)
    return NOBODY if identifier is None else str(identifier)


_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_WEBHOOK_SECRET = re.compile(r"\bwhsec_[\w+/=-]+")
_PASSWORD_HASH = re.compile(r"\bpbkdf2_sha256\$[^\s\"']+")
_PASSWORD_OF_URL = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
# As it appears in JSON, in a form, in a Python dictionary and in a header.
_NAMED = re.compile(
    r"((?:password|passwd|secret|token|api[_-]?key|signing[_-]?key|authorization|cookie|otp)[\"']?\s*[:=]\s*)"
    r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&})\]]+)",
    re.IGNORECASE,
)


class Secrets:
    """Replaces secrets in a text: the values of some settings, and text that looks like a credential."""

    def __init__(self, values: Collection[str]) -> None:
        self._values = sorted((value for value in values if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)

    def hidden_in(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, HIDDEN)
        text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
        for pattern in (_TOKEN, _PASSWORD_HASH, _WEBHOOK_SECRET):
            text = pattern.sub(HIDDEN, text)
        for named in (_PASSWORD_OF_URL, _NAMED):
            text = named.sub(rf"\1{HIDDEN}", text)
        return text


class TextLines(logging.Formatter):
    """Formats a record as a line of text."""

    def __init__(self, *, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request_id)s %(user_id)s] %(message)s")
        self._secrets = Secrets(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._secrets.hidden_in(super().format(record))


class JsonLines(JsonFormatter):
    """Formats a record as a JSON object on one line. Other attributes, such as the request itself, are left out."""

    _NAMES: ClassVar[Mapping[str, str]] = {
        "asctime": "time",
        "levelname": "level",
        "name": "logger",
        "process_name": "process",
        "request_id": "requestId",
        "user_id": "userId",
        "trace_id": "traceId",
        "message": "message",
        "exc_info": "exception",
        "stack_info": "stack",
    }

    def __init__(self, *, secrets: Collection[str]) -> None:
        super().__init__([*self._NAMES], json_ensure_ascii=False)
        self._secrets = Secrets(secrets)
        self._process = process_name()

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def process_log_record(self, log_data: LogData) -> LogData:
        log_data["process_name"] = self._process
        return {
            name: self._secrets.hidden_in(str(log_data[field]))
            for field, name in self._NAMES.items()
            if log_data.get(field)
        }
