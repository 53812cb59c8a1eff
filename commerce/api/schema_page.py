"""`/api/schema`: serves the OpenAPI document. Its content is defined in `schema.py` and the apps' views."""

import threading

from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.request import Request
from rest_framework.response import Response

_making = threading.Lock()


class SchemaPage(SpectacularJSONAPIView):
    """The OpenAPI document.

    Only GET and HEAD are allowed, so that `Allow` is correct.

    The library registers its extensions while it creates the first document, which is not thread-safe. A lock makes
    sure that only one thread creates a document at a time.
    """

    http_method_names = ["get", "head"]

    def _get_schema_response(self, request: Request) -> Response:
        with _making:
            response: Response = super()._get_schema_response(request)  # type: ignore[no-untyped-call]  # the library's
            return response
