"""Search for events in the back-office."""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest


class EventSearch:
    """A list in which `order-completed:1042` finds that order's event, whose id continues with its time."""

    event_field = "event_id"
    other_fields: tuple[str, ...] = ()
    """Further fields to compare with the search term."""

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(**{self.event_field: term}) | Q(**{f"{self.event_field}__startswith": f"{term}:"})
        for field in self.other_fields:
            found |= Q(**{field: term})
        return queryset.filter(found), False
