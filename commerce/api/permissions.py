"""Access to endpoints. `authentication.account_of` determines the account that a request acts on."""

from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView


class ReadableByAll(IsAuthenticated):
    """Everyone may read; writes need an authenticated caller."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)
