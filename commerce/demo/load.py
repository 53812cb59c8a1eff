"""Loads the demo shop into an empty database, once.

Contains the transaction and the check whether the demo is loaded. The data is made in `rows`, and for a shop of any
size in `large`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import Enum

from django.db import models, transaction
from django.utils import timezone

from balances.models import User
from commerce.core import sql
from commerce.core.redis_services import RedisUnavailable
from commerce.demo import bulk, large
from commerce.demo.notes import write_notes
from commerce.demo.reservations import hold_carts
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
"""The demo is loaded if both accounts exist."""


class Outcome(Enum):
    """The result of loading the demo."""

    LOADED = "loaded"
    THERE_ALREADY = "there already"
    SHOP_NOT_EMPTY = "shop not empty"


def load_demo() -> Outcome:
    """Insert the whole demo shop or nothing. Of two simultaneous calls, the second finds it loaded.

    A shop with other rows is not changed, because the demo's ids start at 1.
    """
    return _load_once(lambda: _insert(rows_of(plan_week(), timezone.now())))


def load_large_demo(*, orders: int, on_progress: Callable[[int], object] = lambda orders: None) -> Outcome:
    """Insert a shop with a year of `orders` orders (1 or more), with the same guarantees as `load_demo`.

    `on_progress` is called with the number of orders that were written since the last call. Run `tidy_tables`
    afterwards.
    """
    return _load_once(lambda: large.write_large_shop(orders=orders, now=timezone.now(), on_progress=on_progress))


def tidy_tables() -> Iterator[str]:
    """VACUUM and ANALYZE the tables of the large demo; yields each table before its turn."""
    return bulk.tidy(large.TABLES)


def _load_once(insert: Callable[[], datetime]) -> Outcome:
    """`insert` returns the time when the shop opened."""
    with transaction.atomic(durable=True):
        # The timeouts that protect requests are disabled for this transaction: a large shop takes minutes, during which
        # a second loader waits.
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
        hold_carts(timezone.now())
        write_webhooks()
        # Django sets these columns to the time of the INSERT, which is later than the opening of the shop.
        Product.objects.update(created_at=opened_at, updated_at=opened_at)
        Coupon.objects.update(created_at=opened_at)
    _renew_pages()
    return Outcome.LOADED


def _renew_pages() -> None:
    """Invalidate the pages that were cached while the shop was empty."""
    try:
        PRODUCT_LIST.renew()
        POPULAR.renew()
    except RedisUnavailable as error:
        logger.warning("Redis %s does not answer: cached pages remain until they expire", error)


def _insert(rows: Rows) -> datetime:
    for table in (
        rows.users,
        rows.products,
        rows.coupons,
        rows.user_coupons,
        rows.orders,
        rows.items,
        rows.refunds,
        rows.refund_items,
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
