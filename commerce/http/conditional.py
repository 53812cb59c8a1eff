"""Pages that are sent only when they changed.

Owns `ETag` and `If-None-Match`; the bytes come from whoever has them.
"""

import hashlib
from collections.abc import Collection

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from commerce.core.page_cache import Page, PageCache
from commerce.http import ready_pages
from commerce.http.headers import set_headers
from commerce.http.json import json_response


def page_response(
    request: HttpRequest, page: Page, cache: PageCache, *, parameters: Collection[str] = ()
) -> HttpResponse:
    """The page with its ETag, or 304 where the caller has it already.

    It is kept in the memory of the process, unless the request has other `parameters` than these: those make no
    other page, and copies of it must not drive out the pages that are asked for.
    """
    etag = f'"{hashlib.blake2b(page.body, digest_size=16).hexdigest()}"'
    response = json_response(page.body)
    set_headers(response, ("ETag", etag), ("Cache-Control", "no-cache"))
    if page.generation is not None and request.GET.keys() <= set(parameters):
        ready_pages.announce(request, response, cache, page)
    conditional = get_conditional_response(request, etag=etag, response=response)
    return conditional if isinstance(conditional, HttpResponse) else response
