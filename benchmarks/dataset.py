"""The data set: customers with money, products with stock, coupons. It satisfies every invariant.

It is written in sets. All ids start at 1, so that a customer's number is its id.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from benchmarks.books import number
from benchmarks.errors import BenchmarkFailed

BALANCE_WON = 100_000_000
PRICE_WON = 1_000
STOCK_UNITS = 1_000_000_000


@dataclass(frozen=True)
class Sizes:
    """The number of rows of each kind."""

    customers: int
    products: int
    coupons: int

    @property
    def hot_product(self) -> int:
        """The product that all customers order."""
        return self.products + 1

    @property
    def sold_out_product(self) -> int:
        return self.products + 2


FULL = Sizes(customers=200_000, products=10_000, coupons=2_000)
QUICK = Sizes(customers=30_000, products=1_000, coupons=300)

# Yesterday, so that the invariants expect no events for it.
_CUSTOMERS = """
    INSERT INTO "user" (id, username, password, email, first_name, last_name, is_staff, is_superuser, is_active,
                        date_joined, balance, ledger_head)
    SELECT number, 'bench' || number, '!', '', '', '', false, false, true, now() - interval '1 day', %(balance)s,
           sha256(decode(repeat('00', 32), 'hex') || convert_to(
               number || '|' || number || '|CHARGE|' || %(balance)s::bigint || '|' || %(balance)s::bigint || '||'
                   || trunc(extract(epoch FROM now() - interval '1 day') * 1000000), 'UTF8'))
    FROM generate_series(1, %(customers)s) AS number
"""
# The hash is the account's head: docs/ledger.md describes it. One transaction, so that now() is always the same.
_LEDGER = """
    INSERT INTO user_balance_tx (id, user_id, type, amount, balance_after, order_id, created_at, entry_hash)
    SELECT id, id, 'CHARGE', balance, balance, NULL, now() - interval '1 day', ledger_head FROM "user"
"""
_PRODUCTS = """
    INSERT INTO product (id, name, description, price, stock, is_active, created_at, updated_at)
    SELECT number, 'Product ' || number, 'A product of the benchmark, number ' || number || '.', %(price)s,
           CASE WHEN number = %(sold_out)s THEN 0 ELSE %(stock)s END, true, now() - interval '1 day', now()
    FROM generate_series(1, %(products)s + 2) AS number
"""
_MOVEMENTS = """
    INSERT INTO stock_movement (product_id, reason, quantity, order_id, created_at)
    SELECT id, 'OPENING', stock, NULL, created_at FROM product
"""
_COUPONS = """
    INSERT INTO coupon (id, name, discount_type, discount_value, max_discount, min_order_amount, total_quantity,
                        issued_count, issue_starts_at, issue_ends_at, valid_until, created_at)
    SELECT number, 'Coupon ' || number, CASE WHEN number %% 2 = 0 THEN 'FIXED' ELSE 'PERCENT' END, 10,
           CASE WHEN number %% 2 = 0 THEN NULL ELSE 1000 END, 0, 1000000, 0, now() - interval '1 day',
           now() + interval '30 days', now() + interval '60 days', now() - interval '1 day'
    FROM generate_series(1, %(coupons)s) AS number
"""
# Each customer holds one coupon, and the id of the user coupon is that of the customer.
_HELD_COUPONS = """
    INSERT INTO user_coupon (id, user_id, coupon_id, status, issued_at, expires_at, used_at)
    SELECT id, id, (id - 1) %% %(coupons)s + 1, 'AVAILABLE', now() - interval '1 day', now() + interval '60 days', NULL
    FROM "user"
"""
_ISSUED_COUNTS = """
    UPDATE coupon SET issued_count = held.units
    FROM (SELECT coupon_id, count(*) AS units FROM user_coupon GROUP BY coupon_id) AS held
    WHERE held.coupon_id = coupon.id
"""
_TABLES = ("user", "user_balance_tx", "product", "stock_movement", "coupon", "user_coupon")
_NEW_COUPON = """
    INSERT INTO coupon (name, discount_type, discount_value, max_discount, min_order_amount, total_quantity,
                        issued_count, issue_starts_at, issue_ends_at, valid_until, created_at)
    VALUES ('Hot coupon', 'FIXED', 100, NULL, 0, %(units)s, 0, now() - interval '1 hour', now() + interval '1 day',
            now() + interval '2 days', now()) RETURNING id
"""
_HOLD_COUPON = """
    INSERT INTO user_coupon (user_id, coupon_id, status, issued_at, expires_at)
    SELECT id, %(coupon)s, 'AVAILABLE', now() - interval '1 day', now() + interval '2 days'
    FROM "user" WHERE id <= %(customers)s
"""
_COUNT_HELD = "UPDATE coupon SET issued_count = %(customers)s WHERE id = %(coupon)s"


def load(connection: psycopg.Connection, sizes: Sizes) -> Iterator[str]:
    """Write the data set into empty tables; yields the name of each part before it is written.

    Raises BenchmarkFailed if the database contains a shop.
    """
    for table in _TABLES:
        if connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone():  # noqa: S608
            raise BenchmarkFailed(f"The database holds a shop already ({table}). Give the benchmark an empty one.")
    values = {
        "customers": sizes.customers,
        "products": sizes.products,
        "coupons": sizes.coupons,
        "sold_out": sizes.sold_out_product,
        "balance": BALANCE_WON,
        "price": PRICE_WON,
        "stock": STOCK_UNITS,
    }
    parts: dict[str, tuple[LiteralString, ...]] = {
        "customers": (_CUSTOMERS, _LEDGER),
        "products": (_PRODUCTS, _MOVEMENTS),
        "coupons": (_COUPONS, _HELD_COUPONS, _ISSUED_COUNTS),
    }
    with connection.transaction():
        for part, statements in parts.items():
            yield part
            for statement in statements:
                connection.execute(statement, values)
        for table in _TABLES:
            connection.execute(
                f"""SELECT setval(pg_get_serial_sequence('"{table}"', 'id'), (SELECT max(id) FROM "{table}"))"""  # noqa: S608
            )
    yield "statistics of the planner"
    for table in _TABLES:
        connection.execute(f'VACUUM (ANALYZE) "{table}"')


def new_coupon(connection: psycopg.Connection, *, units: int) -> int:
    """A coupon open for issue with `units` units, none of them issued. Returns its id."""
    return number(connection, _NEW_COUPON, {"units": units})


def held_coupon(connection: psycopg.Connection, *, customers: int, units: int) -> int:
    """A coupon held by the first `customers` customers. If `units` is the same number, it is sold out."""
    with connection.transaction():
        coupon = new_coupon(connection, units=units)
        values = {"coupon": coupon, "customers": customers}
        connection.execute(_HOLD_COUPON, values)
        connection.execute(_COUNT_HELD, values)
    return coupon
