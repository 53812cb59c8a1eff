"""Fast access to headers: parsed request headers are cached, response headers are set in one step each.

Only this module depends on how Django stores response headers; its mapping takes three to four calls for each. Names
and values must be ASCII.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from django.http import HttpResponse

T = TypeVar("T")

_MOST_REMEMBERED = 1_024
_LONGEST_REMEMBERED = 256
_environ_names: dict[bytes, str] = {}


def remembered(meaning: Callable[[str], T]) -> Callable[[str], T]:
    """Cache the results for recent values of a header. Long values, which are unusual, are not cached."""
    known = lru_cache(maxsize=_MOST_REMEMBERED)(meaning)

    def of(value: str) -> T:
        return known(value) if len(value) <= _LONGEST_REMEMBERED else meaning(value)

    return of


def environ_name(header: bytes) -> str:
    """The key of a header in the WSGI environment."""
    known = _environ_names.get(header)
    if known is not None:
        return known
    name = header.decode("latin-1").upper().replace("-", "_")
    name = name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"
    if len(_environ_names) < _MOST_REMEMBERED and len(name) <= _LONGEST_REMEMBERED:
        _environ_names[header] = name
    return name


def set_headers(response: HttpResponse, *headers: tuple[str, str]) -> None:
    """Set headers, replacing existing ones."""
    kept = response.headers._store
    for header in headers:
        kept[header[0].lower()] = header


def add_headers(response: HttpResponse, headers: Iterable[tuple[str, str]]) -> None:
    """Add the headers that the response does not have yet."""
    kept = response.headers._store
    for header in headers:
        kept.setdefault(header[0].lower(), header)


def header_list(response: HttpResponse) -> list[tuple[str, str]]:
    """Names and values in the form that a WSGI server expects."""
    headers = list(response.headers._store.values())
    if response.cookies:
        headers += [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
    return headers
