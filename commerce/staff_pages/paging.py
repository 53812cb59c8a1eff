"""Pagination of long lists, with a limited count of rows."""

from typing import TYPE_CHECKING, Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

# Generic for the type checker only; at run time Django's class takes no parameters.
if TYPE_CHECKING:
    Pages = Paginator[Any]
else:
    Pages = Paginator

MOST_ROWS_COUNTED = 10_000
"""The number of rows that can be paged through; older rows are found by filters or the search."""


class CappedPaginator(Pages):
    """Counts and pages at most `MOST_ROWS_COUNTED` rows; `is_capped` if there are more."""

    template_name = "admin/capped_pagination.html"

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, list | tuple):
            return len(rows)
        # Only the keys, so that annotations are not computed for each counted row.
        return cast("QuerySet[Any]", rows).order_by().values("pk")[: MOST_ROWS_COUNTED + 1].count()

    @property
    def is_capped(self) -> bool:
        return self._counted > MOST_ROWS_COUNTED

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_ROWS_COUNTED)
