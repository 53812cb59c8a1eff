"""The headers of an answer, read and written in one step each.

Owns the only lines that know how Django keeps them: its own mapping makes three to four calls for every header. Names
and values here are plain ASCII.
"""

from collections.abc import Iterable

from django.http import HttpResponse


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
