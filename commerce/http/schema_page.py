"""`/api/schema`: the document on the wire.

Owns that it is made by one thread at a time; what it says is in `schema.py` and the apps' views.
"""

import threading

from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.request import Request
from rest_framework.response import Response

_making = threading.Lock()


class SchemaPage(SpectacularJSONAPIView):
    """The OpenAPI document.

    Only GET and HEAD are answered, so that `Allow` names no more.

    The library sets up its extensions while it makes the first one; two threads at that together would both crash.
    """

    http_method_names = ["get", "head"]

    def _get_schema_response(self, request: Request) -> Response:
        with _making:
            response: Response = super()._get_schema_response(request)  # type: ignore[no-untyped-call]  # the library's
            return response
