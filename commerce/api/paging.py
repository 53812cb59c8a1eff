"""The two kinds of pagination.

They validate `cursor`, `page` and `pageSize`. An invalid value is a validation error; it is not replaced by the nearest
valid one.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.signing import BadSignature, Signer
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.utils.urls import replace_query_param

DEFAULT_PAGE_SIZE = 20
LARGEST_PAGE_SIZE = 100


def page_size_of(request: Request) -> int:
    """`pageSize`, 1 to 100. Raises ValidationError for other values."""
    given = request.query_params.get("pageSize")
    if given is None:
        return DEFAULT_PAGE_SIZE
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= LARGEST_PAGE_SIZE):
        raise ValidationError({"pageSize": _("A whole number from 1 to %d.") % LARGEST_PAGE_SIZE}, code="invalid")
    return int(given)


PAGE_SIZE = OpenApiParameter(
    "pageSize",
    {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
    description="The largest number of results on a page.",
)


class HistoryPages(CursorPagination):
    """Newest first, by cursor: the cost does not depend on the page, and new entries cause no duplicates.

    A cursor is signed for its list, so that a damaged cursor or one of another list is refused.
    """

    request: Request
    names = ("cursor", "pageSize")
    parameters: ClassVar = [
        OpenApiParameter(
            "cursor", str, description="From `next` or `previous` of the same list with the same filters."
        ),
        PAGE_SIZE,
    ]
    ordering = "-id"
    page_size_query_param = "pageSize"
    max_page_size = LARGEST_PAGE_SIZE

    def get_page_size(self, request: Request) -> int:
        return page_size_of(request)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            page: list[Any] | None = super().paginate_queryset(queryset, request, view)
        except (NotFound, BadSignature, ValueError, OverflowError) as error:
            raise ValidationError({"cursor": _("Not a cursor of this list.")}, code="invalid") from error
        return page

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The requested position; None for the first page. Raises BadSignature."""
        given = request.query_params.get(self.cursor_query_param)
        if given is None:
            return None
        offset, reverse, position = _signer(request).unsign(given).split(".", 2)
        return Cursor(int(offset), bool(int(reverse)), position or None)  # type: ignore[arg-type]  # it is text

    def encode_cursor(self, cursor: Cursor) -> str:
        """The URL of the page at `cursor`."""
        position = f"{cursor.offset}.{int(cursor.reverse)}.{cursor.position or ''}"
        return replace_query_param(str(self.base_url), self.cursor_query_param, _signer(self.request).sign(position))

    @classmethod
    def respond(cls, request: Request, entries: "QuerySet[Any]", serializer: type[Serializer[Any]]) -> Response:
        """The requested page of `entries`."""
        pages = cls()
        page = pages.paginate_queryset(entries, request)
        return pages.get_paginated_response(serializer(page, many=True).data)


def _signer(request: Request) -> Signer:
    """Signs the cursors of one list: of this path and these filters, for all page sizes."""
    filters = sorted((name, values) for name, values in request.query_params.lists() if name not in HistoryPages.names)
    return Signer(sep="~", salt=f"{__name__}:{request.path}:{filters}")


class CatalogPages(PageNumberPagination):
    """By number, with a total: a catalogue is small, and users jump to pages.

    `address` is the base URL of the links to other pages.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    page_size_query_param = "pageSize"
    max_page_size = LARGEST_PAGE_SIZE
    names = ("page", "pageSize")
    parameters: ClassVar = [
        OpenApiParameter(
            "page", {"type": "integer", "minimum": 1, "default": 1}, description="The number of the page, from 1."
        ),
        PAGE_SIZE,
    ]

    def get_page_size(self, request: Request) -> int:
        return page_size_of(request)

    def paginate_queryset(
        self, queryset: "QuerySet[Any, Any] | Sequence[Any]", request: Request, view: Any = None
    ) -> list[Any] | None:
        try:
            page: list[Any] | None = super().paginate_queryset(queryset, request, view)
        except NotFound as error:
            raise ValidationError({"page": _("There is no such page.")}, code="invalid") from error
        return page

    def get_next_link(self) -> str | None:
        page = self.page
        return self._link(page.next_page_number()) if page is not None and page.has_next() else None

    def get_previous_link(self) -> str | None:
        page = self.page
        return self._link(page.previous_page_number()) if page is not None and page.has_previous() else None

    def _link(self, number: int) -> str:
        return replace_query_param(self.address, self.page_query_param, number)

    def get_page_number(self, request: Request, paginator: Any) -> int | str:
        given = request.query_params.get(self.page_query_param, "1")
        if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) >= 1):
            raise ValidationError({"page": _("A whole number from 1.")}, code="invalid")
        return int(given)
