"""The search for orders by number, customer or product.

No search scans a large table: ids, prefixes of names and whole e-mail addresses have indexes, and products are few.
"""

import re
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from balances.selectors import account_ids_called
from orders import selectors
from orders.models import Order
from products.selectors import product_ids_called, product_ids_named

MOST_CALLED = 200
"""Limit of matching customers or products; a term that matches more is too vague."""
_NUMBER = re.compile(r"\s*#?([0-9]{1,18})\s*", re.ASCII)
_BY_ID = re.compile(r"\s*(customer|product)\s*:\s*([0-9]{1,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """The matching orders, and a message if a part of the search was skipped."""

    orders: "QuerySet[Order]"
    remark: Any = ""


def order_number(text: str) -> int | None:
    """The order number if the term is nothing else: 17 or #17."""
    number = _NUMBER.fullmatch(text)
    return int(number[1]) if number else None


def found(orders: "QuerySet[Order]", text: str) -> Found:
    """The orders with this number, of a matching customer, or with a matching product.

    Customers match by a prefix of the user name or real name, by the whole e-mail address, or as customer:7; products
    match by words of their name, or as product:3.
    """
    number = order_number(text)
    if number is not None:
        return Found(orders.filter(pk=number))
    by_id = _BY_ID.fullmatch(text)
    if by_id and by_id[1].lower() == "customer":
        return Found(orders.filter(user_id=int(by_id[2])))
    if by_id:
        return Found(selectors.with_products(orders, [int(by_id[2])]))
    return _called(orders, text.strip())


def _called(orders: "QuerySet[Order]", text: str) -> Found:
    remarks = []
    user_ids = account_ids_called(text, most=MOST_CALLED + 1)
    if len(user_ids) > MOST_CALLED:
        user_ids = []
        sentence = _("More than %(most)d customers' names begin with “%(text)s”: enter more of the name.")
        remarks.append(sentence % {"most": MOST_CALLED, "text": text})
    product_ids = product_ids_called(text, most=MOST_CALLED + 1)
    if len(product_ids) > MOST_CALLED:
        product_ids = product_ids_named(text, most=MOST_CALLED)
        sentence = _("More than %(most)d products have “%(text)s” in their name: enter more of it.")
        remarks.append(sentence % {"most": MOST_CALLED, "text": text})
    return Found(
        selectors.of_any(orders, user_ids=user_ids, product_ids=product_ids), " ".join(str(each) for each in remarks)
    )
