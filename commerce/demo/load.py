"""Putting the demo shop into an empty database, once.

Owns the transaction and the question whether it has been done; what the shop contains is in `rows`, and in `large` for
one of any size.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import Enum

from django.db import models, transaction
from django.utils import timezone

from balances.models import User
from commerce.core import sql
from commerce.core.redis import RedisAway
from commerce.demo import bulk, large
from commerce.demo.notes import write_notes
from commerce.demo.rows import Rows, rows_of
from commerce.demo.staff import hire_staff
from commerce.demo.webhooks import write_webhooks
from commerce.demo.week import plan_week
from coupons.models import Coupon
from orders.models import Order
from products.models import Product
from products.selectors import PRODUCT_LIST
from stats.selectors import POPULAR

logger = logging.getLogger(__name__)

MARKERS = ("customer1", "admin")
"""Where both accounts exist, the demo has been loaded."""


class Outcome(Enum):
    """What became of the wish to load the demo."""

    LOADED = "loaded"
    THERE_ALREADY = "there already"
    SHOP_NOT_EMPTY = "shop not empty"


def load_demo() -> Outcome:
    """Insert the demo shop, all or nothing. Of two at once, the second finds it there already.

    A shop with rows of its own is left alone: the demo's ids start at 1.
    """
    return _load_once(lambda: _insert(rows_of(plan_week(), timezone.now())))


def load_large_demo(*, orders: int, on_progress: Callable[[int], object] = lambda orders: None) -> Outcome:
    """Insert a shop with a year of `orders` orders (1 or more), as `load_demo` does its week.

    `on_progress` gets how many more of them have been written. `tidy_tables` is worth its time afterwards.
    """
    return _load_once(lambda: large.write_large_shop(orders=orders, now=timezone.now(), on_progress=on_progress))


def tidy_tables() -> Iterator[str]:
    """Vacuum and analyze what the large demo has written; reports each table before its turn."""
    return bulk.tidy(large.TABLES)


def _load_once(insert: Callable[[], datetime]) -> Outcome:
    """`insert` says when the shop opened."""
    with transaction.atomic(durable=True):
        # The limits that protect requests are lifted for this transaction alone: a large shop takes minutes, in which a
        # second loader waits.
        for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            sql.execute(f"SET LOCAL {limit} = 0")
        sql.execute("SELECT pg_advisory_xact_lock(hashtextextended('load_demo', 0))")
        if User.objects.filter(username__in=MARKERS).count() == len(MARKERS):
            return Outcome.THERE_ALREADY
        if any(model._default_manager.exists() for model in (User, Product, Coupon, Order)):
            return Outcome.SHOP_NOT_EMPTY
        opened_at = insert()
        hire_staff()
        write_notes()
        write_webhooks()
        # These columns are set by Django at the time of the INSERT; the shop opened earlier than that.
        Product.objects.update(created_at=opened_at, updated_at=opened_at)
        Coupon.objects.update(created_at=opened_at)
    _renew_pages()
    return Outcome.LOADED


def _renew_pages() -> None:
    """Pages that were shown while the shop was empty."""
    try:
        PRODUCT_LIST.renew()
        POPULAR.renew()
    except RedisAway as away:
        logger.warning("Redis %s does not answer: pages shown before may live out their time", away)


def _insert(rows: Rows) -> datetime:
    for table in (
        rows.users,
        rows.products,
        rows.coupons,
        rows.user_coupons,
        rows.orders,
        rows.items,
        rows.ledger,
        rows.movements,
        rows.stats,
        rows.processed_events,
    ):
        _insert_table(table)
    return rows.movements[0].created_at


def _insert_table(rows: Sequence[models.Model]) -> None:
    model: type[models.Model] = type(rows[0])
    model._default_manager.bulk_create(rows)
    bulk.continue_ids([model])
