"""Who may call an endpoint at all; whose account it acts on is decided by `authentication.account_of`."""

from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView


class ReadableByAll(IsAuthenticated):
    """Anyone may read; to write, one must be somebody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)
