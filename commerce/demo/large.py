"""Writes the large demo shop in parts, inside the caller's transaction. The rows are made in `year_rows`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.db import models

from balances.models import User
from balances.rules import START_OF_CHAIN
from commerce.core import sql
from commerce.demo import bulk
from commerce.demo.assortment import DAYS, Assortment
from commerce.demo.dates import Calendar
from commerce.demo.rows import admin, coupon_of, customers
from commerce.demo.year import Year, joined_day
from commerce.demo.year_rows import COLUMNS, Part, YearRows
from coupons.models import Coupon
from orders.models import Order
from products.models import Product

ROWS_AT_ONCE = 50_000
"""Approximate size of a part, up to one day's rows more. Two parts are in memory at a time."""
TABLES: Sequence[type[models.Model]] = (User, Product, Coupon, *COLUMNS)
"""All tables that are written."""

_USER_COLUMNS = tuple(field.attname for field in User._meta.concrete_fields if not field.has_db_default())

SETTLE_ACCOUNTS = """
    UPDATE "user" AS account SET balance = settled.balance, ledger_head = settled.head
    FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS settled (id, balance, head) WHERE account.id = settled.id
"""
SETTLE_STOCK = """
    UPDATE product SET stock = settled.stock
    FROM unnest(%s::bigint[], %s::integer[]) AS settled (id, stock) WHERE product.id = settled.id
"""
SETTLE_COUPONS = """
    UPDATE coupon SET issued_count = settled.issued
    FROM unnest(%s::bigint[], %s::integer[]) AS settled (id, issued) WHERE coupon.id = settled.id
"""
USE_COUPONS = """
    UPDATE user_coupon SET used_at = use.at, status = CASE WHEN use.at IS NULL THEN 'AVAILABLE' ELSE 'USED' END
    FROM unnest(%s::bigint[], %s::timestamptz[]) AS use (id, at) WHERE user_coupon.id = use.id
"""


def write_large_shop(*, orders: int, now: datetime, on_progress: Callable[[int], object]) -> datetime:
    """Write a shop with `orders` orders in the year before `now`; return the time of its opening.

    `on_progress` is called with the number of orders that were written since the last call.
    """
    assortment, calendar = Assortment(orders), Calendar(DAYS, now)
    # Checked with each statement. Deferred to COMMIT, PostgreSQL would keep an entry for every row in memory.
    sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
    bulk.copy(User, _USER_COLUMNS, _users(assortment, calendar))
    Product.objects.bulk_create(_products(assortment))
    coupons = [
        coupon_of(campaign.coupon, coupon_id, issued=0, now=now)
        for coupon_id, campaign in enumerate(assortment.campaigns, start=1)
    ]
    Coupon.objects.bulk_create(coupons)
    rows = YearRows(assortment, calendar, coupons, staff_id=assortment.customers + 1)
    for part in _ahead(_parts(rows, Year(assortment))):
        _write(part)
        on_progress(len(part.tables[Order]))
    _settle(rows)
    bulk.continue_ids(TABLES)
    return calendar.at(0, 0.0)


def _users(assortment: Assortment, calendar: Calendar) -> Iterator[tuple[Any, ...]]:
    opened_at = calendar.at(0, 0.0)
    joined_at = {
        user_id: opened_at + timedelta(days=joined_day(assortment, user_id))
        for user_id in range(1, assortment.customers + 1)
    }
    for user in (*customers(joined_at), admin(assortment.customers + 1, joined_at=opened_at)):
        yield tuple(getattr(user, column) for column in _USER_COLUMNS)


def _products(assortment: Assortment) -> Iterator[Product]:
    for product_id, product in enumerate(assortment.products, start=1):
        yield Product(
            id=product_id,
            name=product.name,
            description=product.description,
            price=product.price,
            is_active=assortment.is_active(product_id),
            purchase_limit=product.purchase_limit,
        )


def _parts(rows: YearRows, year: Year) -> Iterator[Part]:
    for day, happenings in enumerate(year.days()):
        rows.live(day, happenings)
        if rows.part.size >= ROWS_AT_ONCE or day == DAYS - 1:
            yield rows.take()


def _ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """Yield the parts, preparing each in a thread while the database writes the previous one."""
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, parts, None)
        while part := coming.result():
            coming = maker.submit(next, parts, None)
            yield part


def _write(part: Part) -> None:
    for model, columns in COLUMNS.items():
        if part.tables[model]:
            bulk.copy(model, columns, part.tables[model])
    bulk.change(USE_COUPONS, list(part.coupon_uses.items()))


def _settle(rows: YearRows) -> None:
    """Write the final balances, stocks and coupon counts."""
    accounts = enumerate(zip(rows.balances, rows.heads, strict=True))
    bulk.change(
        SETTLE_ACCOUNTS,
        [(user_id, balance, head) for user_id, (balance, head) in accounts if head != START_OF_CHAIN],
    )
    bulk.change(SETTLE_STOCK, list(rows.stock.items()))
    bulk.change(SETTLE_COUPONS, list(rows.issued.items()))
