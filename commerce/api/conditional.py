"""Conditional requests: `ETag` and `If-None-Match` for cached pages."""

import hashlib
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from commerce.core.page_cache import Page, PageCache
from commerce.server import ready_pages
from commerce.server.headers import set_headers
from commerce.server.json_codec import json_response
from commerce.server.problems import PreconditionFailed


def page_response(request: HttpRequest, page: Page, cache: PageCache) -> HttpResponse:
    """The page with its ETag, or 304 if the client has it already. The response is cached in the process.

    The view must have refused unknown parameters; otherwise variants of one page could evict other pages. Raises
    PreconditionFailed if an `If-Match` condition is not met.
    """
    etag = f'"{hashlib.blake2b(page.body, digest_size=16).hexdigest()}"'
    response = json_response(page.body)
    set_headers(response, ("ETag", etag), ("Cache-Control", "no-cache"))
    if page.generation is not None:
        ready_pages.announce(request, response, cache, page)
    # A list has no time of its last change, so the condition is ignored (RFC 9110, 13.1.4). Django would refuse it.
    request.META.pop("HTTP_IF_UNMODIFIED_SINCE", None)
    conditional = get_conditional_response(request, etag=etag, response=response)
    if conditional is not None and conditional.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed
    return conditional if isinstance(conditional, HttpResponse) else response
