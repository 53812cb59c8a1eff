"""Log lines: of which request and account they are, and without secrets.

Owns the two forms, JSON for machines and text for a terminal; where the lines go is in the settings.
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
"""The request that is being answered here, with its `request_id`; None outside one."""
NOBODY = "-"
HIDDEN = "[hidden]"
_SHORTEST_SECRET = 8
"""Shorter values of settings are words of log lines as well, and no secret."""


class RequestFilter(logging.Filter):
    """Gives every line the ids of its request, its account and its trace; `-` where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs a failed request once it has left the middleware, and brings the request along.
        request = getattr(record, "request", None) or current_request.get()
        record.request_id = getattr(request, "request_id", NOBODY)
        record.user_id = NOBODY if request is None else _user_id(request)
        record.trace_id = tracing.trace_id() if tracing.on else NOBODY
        return True


class UnavailableFilter(logging.Filter):
    """Leaves out answers with 503: in a rush there would be a line for each. The metrics count them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE


def _user_id(request: Any) -> str:
    """The account of a request, if it is known already: a log line asks the database nothing."""
    known = getattr(request, "__dict__", {})
    user = known.get("_cached_user") or known.get("user")
    identifier = None if type(user) is SimpleLazyObject else getattr(user, "pk", None)
    return NOBODY if identifier is None else str(identifier)


_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_WEBHOOK_SECRET = re.compile(r"\bwhsec_[\w+/=-]+")
_PASSWORD_HASH = re.compile(r"\bpbkdf2_sha256\$[^\s\"']+")
_PASSWORD_OF_URL = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
# As in JSON, in a form, in a dictionary of Python's, and in a header.
_NAMED = re.compile(
    r"((?:password|passwd|secret|token|api[_-]?key|signing[_-]?key|authorization|cookie|otp)[\"']?\s*[:=]\s*)"
    r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&})\]]+)",
    re.IGNORECASE,
)


class Secrets:
    """Replaces secrets in a text: the values of some settings, and what looks like a credential."""

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
    """A line for people."""

    def __init__(self, *, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request_id)s %(user_id)s] %(message)s")
        self._secrets = Secrets(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._secrets.hidden_in(super().format(record))


class JsonLines(JsonFormatter):
    """A JSON object on one line. What else a record carries, such as the request itself, stays out."""

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
