"""Cached pages answered from the memory of the process, before Django sees the request.

Owns which request is the same as an earlier one, and how long a page is kept: to the end of the second, and not beyond
its generation (`commerce.core.page_cache`). What is not in memory, Django answers, and leaves here on its way out.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from time import perf_counter, time
from typing import Any

from django.http import HttpRequest, HttpResponse

from commerce.core.page_cache import Page, PageCache
from commerce.core.redis import RedisAway
from commerce.http.ending import is_ending
from commerce.http.headers import header_list
from commerce.http.request_context import HEADER, count_request, new_request_id

MOST_PAGES = 128
"""In each process; a page of a hundred products has some 20 KB."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Key = tuple[str | None, ...]

_ANNOUNCED = "commerce.ready_page"
# Headers of a 200 that a 304 does not have.
_OF_THE_BODY = ("content-type", "content-length")


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer as it was sent, without what belongs to one request only."""

    cache: PageCache
    page: Page
    second: int
    etags: Collection[str]
    headers: list[tuple[str, str]]
    headers_of_304: list[tuple[str, str]]
    route: str


_ready: dict[Key, _Ready] = {}


def _key(environ: dict[str, Any]) -> Key | None:
    """All of a request that its answer depends on; None where it cannot be answered from memory."""
    get = environ.get
    if get("REQUEST_METHOD") != "GET" or "HTTP_IF_MATCH" in environ or "HTTP_IF_UNMODIFIED_SINCE" in environ:
        return None
    if "HTTP_ORIGIN" in environ:
        # Which origin may read the answer stands in its headers.
        return None
    return (
        *(get("PATH_INFO"), get("QUERY_STRING"), get("SCRIPT_NAME"), get("HTTP_ACCEPT")),
        # The links of a page, and whether its client is sent to https.
        *(get("HTTP_HOST"), get("SERVER_NAME"), get("SERVER_PORT")),
        *(get("wsgi.url_scheme"), get("HTTP_X_FORWARDED_PROTO")),
    )


def announce(request: HttpRequest, response: HttpResponse, cache: PageCache, page: Page) -> None:
    """Say that `response` may be kept once it has all its headers."""
    request.META[_ANNOUNCED] = (response, cache, page)


def keep(request: HttpRequest, complete: Callable[[HttpResponse], HttpResponse]) -> None:
    """Keep what was announced for the request; `complete` adds the headers that every answer has."""
    announced = request.META.get(_ANNOUNCED)
    if announced is None or (key := _key(request.META)) is None or request.resolver_match is None:
        return
    response, cache, page = announced
    headers = header_list(complete(response))
    etag = response.headers["ETag"]
    if len(_ready) >= MOST_PAGES:
        _ready.clear()
    _ready[key] = _Ready(
        cache=cache,
        page=page,
        second=int(time()),
        etags=(etag, f"W/{etag}"),
        headers=headers,
        headers_of_304=[header for header in headers if header[0].lower() not in _OF_THE_BODY],
        route=request.resolver_match.route,
    )


def forget() -> None:
    """Start afresh: for tests."""
    _ready.clear()


class ReadyPages:
    """WSGI: answers what is in memory, and hands on the rest."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started = perf_counter()
        key = _key(environ)
        ready = _ready.get(key) if key is not None else None
        if ready is None or not _is_fresh(ready):
            return self._application(environ, start_response)
        wanted = environ.get("HTTP_IF_NONE_MATCH")
        if wanted is None:
            status, headers, body = "200 OK", ready.headers, [ready.page.body]
        elif wanted in ready.etags:
            status, headers, body = "304 Not Modified", ready.headers_of_304, []
        else:
            return self._application(environ, start_response)
        headers = [*headers, (HEADER, new_request_id(environ))]
        if is_ending():
            headers.append(("Connection", "close"))
        start_response(status, headers)
        ready.cache.hits.inc()
        count_request(ready.route, "GET", int(status[:3]), perf_counter() - started)
        return body


def _is_fresh(ready: _Ready) -> bool:
    # To the end of the second and no longer: a list of today must not be shown tomorrow.
    if int(time()) != ready.second:
        return False
    try:
        return ready.cache.generation() == ready.page.generation
    except RedisAway:
        return False
