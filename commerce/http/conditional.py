"""Pages that are sent only when they changed.

Owns `ETag` and `If-None-Match`; the bytes come from whoever has them.
"""

import hashlib

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from commerce.http.json import json_response


def page_response(request: HttpRequest, body: bytes) -> HttpResponse:
    """`body` with its ETag, or 304 where the caller has it already."""
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    response = json_response(body)
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "no-cache"
    conditional = get_conditional_response(request, etag=etag, response=response)
    return conditional if isinstance(conditional, HttpResponse) else response
