"""The section above a list: saved views, periods and active filters."""

from typing import Any

from django.http import HttpRequest

from commerce.staff_pages.chips import chips_of
from commerce.staff_pages.filters import DateRangeFilter
from commerce.staff_pages.saved_views import canonical, views_of


def list_head(changelist: Any, request: HttpRequest) -> dict[str, Any]:
    """The context of `admin/list_head.html`. One query, and one for each row that is named in a filter."""
    list_of, query = changelist.opts.label_lower, canonical(request.GET)
    ranges = [each for each in changelist.filter_specs if isinstance(each, DateRangeFilter)]
    return {
        "list_of": list_of,
        "query": query,
        "chips": chips_of(changelist, request),
        "views": [(view, view.query == query) for view in views_of(request.user.pk or 0, list_of)],
        "ranges": [(each.title, each.periods()) for each in ranges],
    }
