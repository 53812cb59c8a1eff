"""The shop's web application without one of its protections, to show that fuzzing detects the defect.

Only for tests: the protection is removed here by name, and cannot be disabled in the shop.
"""

import os

from django.db.models import QuerySet

# Imported first, because it sets Django up.
from commerce.asgi import application
from orders import selectors, views
from orders.models import Order
from tests.fuzz import quick_logins


def _any_order_is_yours() -> None:
    views.has_right = lambda caller, right: True  # type: ignore[attr-defined]  # where the view looks it up


def _a_filter_breaks() -> None:
    orders_of = selectors.orders_of

    def orders_of_or_crash(user_id: int, *, status: str | None) -> "QuerySet[Order]":
        if status == "CANCELLED":
            raise ZeroDivisionError
        return orders_of(user_id, status=status)

    selectors.orders_of = orders_of_or_crash


WITHOUT = {"owner check of orders": _any_order_is_yours, "answer to one filter": _a_filter_breaks}
WITHOUT[os.environ["WEAKENED"]]()

__all__ = ["application", "quick_logins"]
