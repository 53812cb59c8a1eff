"""The global search on Ctrl-K.

Ids, prefixes of names, e-mail addresses and events are searched with an index each; products and coupons, which are
few, by words of their names. Only models that the user may view are searched.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils.translation import gettext as _

from balances.selectors import account_ids_called
from commerce.core.whole_numbers import whole_number
from commerce.outbox.selectors import messages_called
from coupons.selectors import coupons_called
from orders.selectors import order_exists
from products.selectors import product_ids_called, products_by_id

MOST_OF_A_KIND = 6
MOST_CHARACTERS = 150
_EVENT = re.compile(r"[a-z]+(-[a-z]+)*:[0-9]{1,18}(:[0-9]{1,18})?", re.ASCII)


@dataclass(frozen=True)
class Result:
    """One result, as the library's template shows it."""

    title: str
    description: str
    link: str
    icon: str


May = Callable[[str], bool]


def results_for(text: str, may: May) -> list[Result]:
    """The results for `text`: orders by number, events, customers, products and coupons. At most 9 queries."""
    term = text.strip()[:MOST_CHARACTERS]
    if not term:
        return []
    number = whole_number(term.removeprefix("#"))
    return [
        *_orders(number, may),
        *_events(term, may),
        *_customers(term, number, may),
        *_products(term, number, may),
        *_coupons(term, number, may),
    ]


def _orders(number: int | None, may: May) -> Iterator[Result]:
    if number is not None and may("orders.view_order") and order_exists(number):
        yield Result(f"#{number}", _("Order"), _page("orders_order", number), "receipt_long")


def _events(term: str, may: May) -> Iterator[Result]:
    if _EVENT.fullmatch(term) and may("outbox.view_outboxmessage"):
        for message in messages_called(term)[:MOST_OF_A_KIND]:
            said = _("Event for %(destination)s") % {"destination": message.destination}
            yield Result(message.event_id, said, _page("outbox_outboxmessage", message.pk), "outbox")


def _customers(term: str, number: int | None, may: May) -> Iterator[Result]:
    if not may("balances.view_user"):
        return
    called = account_ids_called(term, most=MOST_OF_A_KIND)
    numbers = [number, *called] if number is not None else called
    accounts = get_user_model()._default_manager.in_bulk(numbers)
    for each in (accounts[user_id] for user_id in dict.fromkeys(numbers) if user_id in accounts):
        said = " · ".join(part for part in (_("Customer"), each.last_name + each.first_name, each.email) if part)
        yield Result(each.get_username(), said, _page("balances_user", each.pk), "person")


def _products(term: str, number: int | None, may: May) -> Iterator[Result]:
    if not (may("products.view_product") or may("products.change_product")):
        return
    called = product_ids_called(term, most=MOST_OF_A_KIND)
    numbers = [number, *called] if number is not None else called
    products = products_by_id(numbers)
    for each in (products[product_id] for product_id in dict.fromkeys(numbers) if product_id in products):
        yield Result(each.name, _("Product"), _page("products_product", each.pk), "inventory_2")


def _coupons(term: str, number: int | None, may: May) -> Iterator[Result]:
    if may("coupons.view_coupon") or may("coupons.change_coupon"):
        for each in coupons_called(term, number, most=MOST_OF_A_KIND):
            yield Result(each.name, _("Coupon"), _page("coupons_coupon", each.pk), "sell")


def _page(name: str, row_id: Any) -> str:
    return reverse(f"admin:{name}_change", args=[row_id])
