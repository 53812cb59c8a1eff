"""Serves cached pages from the memory of the process, before Django handles the request.

Contains the cache key of a request and the lifetime of a page: until the end of the second, and not beyond its
generation (`commerce.core.page_cache`). Django handles requests that are not in memory, and its responses are stored
here.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from time import perf_counter, time
from typing import Any

from django.http import HttpRequest, HttpResponse

from commerce.core.page_cache import Page, PageCache
from commerce.core.redis_services import RedisUnavailable
from commerce.server.ending import is_ending
from commerce.server.headers import header_list
from commerce.server.request_context import HEADER, count_request, new_request_id

MOST_PAGES = 128
"""Pages in each process. A page of a hundred products has about 20 KB."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Key = tuple[str | None, ...]

_ANNOUNCED = "commerce.ready_page"
# Headers of a 200 that a 304 does not have.
_OF_THE_BODY = ("content-type", "content-length")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A response, without the headers that belong to a single request."""

    cache: PageCache
    page: Page
    second: int
    etags: Collection[str]
    headers: list[tuple[str, str]]
    headers_of_304: list[tuple[str, str]]
    route: str


_ready: dict[Key, _Ready] = {}


def _key(environ: dict[str, Any]) -> Key | None:
    """Everything in a request that the response depends on; None if it cannot be served from memory."""
    get = environ.get
    if get("REQUEST_METHOD") != "GET" or "HTTP_IF_MATCH" in environ or "HTTP_IF_UNMODIFIED_SINCE" in environ:
        return None
    if "HTTP_ORIGIN" in environ:
        # The CORS headers of the response depend on the origin.
        return None
    return (
        *(get("PATH_INFO"), get("QUERY_STRING"), get("SCRIPT_NAME"), get("HTTP_ACCEPT")),
        # The links of a page depend on the host, and the redirect to https on the scheme.
        *(get("HTTP_HOST"), get("SERVER_NAME"), get("SERVER_PORT")),
        *(get("wsgi.url_scheme"), get("HTTP_X_FORWARDED_PROTO")),
    )


def announce(request: HttpRequest, response: HttpResponse, cache: PageCache, page: Page) -> None:
    """Mark `response` as cacheable once all its headers are set."""
    request.META[_ANNOUNCED] = (response, cache, page)


def keep(request: HttpRequest, complete: Callable[[HttpResponse], HttpResponse]) -> None:
    """Store the marked response of the request. `complete` adds the headers that every response has."""
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
    """Clear the cache. For tests."""
    _ready.clear()


class ReadyPages:
    """A WSGI application that serves cached pages and forwards other requests."""

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
    # Not longer than this second: the list of one day must not be served on the next.
    if int(time()) != ready.second:
        return False
    try:
        return ready.cache.generation() == ready.page.generation
    except RedisUnavailable:
        return False
