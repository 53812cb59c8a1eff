"""Headers at little cost: what a request's mean is remembered, an answer's are written in one step each.

Owns the only lines that know how Django keeps an answer's headers: its own mapping makes three to four calls for each.
Names and values here are plain ASCII.
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
    """Remember what the last values of a header mean; long ones, which no usual client sends, are worked out anew."""
    known = lru_cache(maxsize=_MOST_REMEMBERED)(meaning)

    def of(value: str) -> T:
        return known(value) if len(value) <= _LONGEST_REMEMBERED else meaning(value)

    return of


def environ_name(header: bytes) -> str:
    """What WSGI calls a header."""
    known = _environ_names.get(header)
    if known is not None:
        return known
    name = header.decode("latin-1").upper().replace("-", "_")
    name = name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"
    if len(_environ_names) < _MOST_REMEMBERED and len(name) <= _LONGEST_REMEMBERED:
        _environ_names[header] = name
    return name


def set_headers(response: HttpResponse, *headers: tuple[str, str]) -> None:
    """Set headers, in place of those that are there."""
    kept = response.headers._store
    for header in headers:
        kept[header[0].lower()] = header


def add_headers(response: HttpResponse, headers: Iterable[tuple[str, str]]) -> None:
    """Add those of the headers that the answer does not have."""
    kept = response.headers._store
    for header in headers:
        kept.setdefault(header[0].lower(), header)


def header_list(response: HttpResponse) -> list[tuple[str, str]]:
    """Names and values, as a web server wants them."""
    headers = list(response.headers._store.values())
    if response.cookies:
        headers += [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
    return headers
