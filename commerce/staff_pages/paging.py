"""Pages of long lists.

Owns that no page counts a whole table: beyond `MOST_ROWS_COUNTED` a list is simply long.
"""

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
"""Nobody pages further; an older row is found by a filter or a search."""


class CappedPaginator(Pages):
    """Counts up to `MOST_ROWS_COUNTED` rows and offers that many; `is_capped` where there are more."""

    template_name = "admin/capped_pagination.html"

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, list | tuple):
            return len(rows)
        # The keys alone, or whatever else is worked out for a row would be worked out for each that is counted.
        return cast("QuerySet[Any]", rows).order_by().values("pk")[: MOST_ROWS_COUNTED + 1].count()

    @property
    def is_capped(self) -> bool:
        return self._counted > MOST_ROWS_COUNTED

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_ROWS_COUNTED)
