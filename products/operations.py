"""Moving stock, inside a transaction that someone else has opened.

Owns the statements that change stock, each with its movement row. Never opens a transaction, never takes money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from commerce.core import sql
from commerce.core.errors import require_unchanged
from commerce.core.transaction import Transaction
from products.errors import OutOfStock, ProductNotFound, Shortage
from products.models import MovementReason, Product

# The rows are locked in the order of their ids before any is changed, so two carts that share products cannot wait
# for each other in a circle, with or without the Redis locks. All are taken or none.
TAKE_STOCK = """
    WITH wanted AS (
        SELECT * FROM unnest(%(product_ids)s::bigint[], %(quantities)s::integer[]) AS wanted (product_id, quantity)
    ), locked AS (
        SELECT product.id, name, price, stock, is_active, wanted.quantity
        FROM product JOIN wanted ON wanted.product_id = product.id
        ORDER BY product.id
        FOR NO KEY UPDATE OF product
    ), taken AS (
        UPDATE product SET stock = product.stock - locked.quantity
        FROM locked
        WHERE product.id = locked.id
          AND product.stock >= locked.quantity
          AND NOT EXISTS (SELECT FROM locked AS short WHERE short.stock < short.quantity OR NOT short.is_active)
        RETURNING product.id
    )
    SELECT locked.id, name, price, locked.quantity, stock, is_active, taken.id IS NOT NULL
    FROM locked LEFT JOIN taken ON taken.id = locked.id
    ORDER BY locked.id
"""

RETURN_STOCK = """
    WITH returned AS (
        SELECT * FROM unnest(%(product_ids)s::bigint[], %(quantities)s::integer[]) AS returned (product_id, quantity)
    ), locked AS (
        SELECT product.id, returned.quantity
        FROM product JOIN returned ON returned.product_id = product.id
        ORDER BY product.id
        FOR NO KEY UPDATE OF product
    )
    UPDATE product SET stock = product.stock + locked.quantity FROM locked WHERE product.id = locked.id
"""

INSERT_MOVEMENTS = """
    INSERT INTO stock_movement (product_id, reason, quantity, order_id, created_at)
    SELECT product_id, %s, quantity, %s, %s
    FROM unnest(%s::bigint[], %s::integer[]) AS moved (product_id, quantity)
"""

ADJUST_STOCK = "UPDATE product SET stock = stock + %s WHERE id = %s AND stock + %s >= 0 RETURNING stock"

INSERT_ADJUSTMENT = """
    INSERT INTO stock_movement (product_id, reason, quantity, actor_id, note, created_at)
    VALUES (%s, %s, %s, %s, %s, %s)
"""

INSERT_OPENING = """
    INSERT INTO stock_movement (product_id, reason, quantity, actor_id, created_at) VALUES (%s, %s, %s, %s, %s)
"""


@dataclass(frozen=True)
class TakenLine:
    """Units of one product, taken at today's name and price (won)."""

    product_id: int
    name: str
    price: int
    quantity: int


def take_stock(quantities: Mapping[int, int]) -> list[TakenLine]:
    """Take units (quantity by product id) off the stock, sorted by product id. The caller records the sale.

    Raises ProductNotFound for a product that is not for sale, OutOfStock with every product that has too few.
    """
    rows = sql.fetch_all(TAKE_STOCK, _arrays(quantities))
    for_sale = {row[0] for row in rows if row[5]}
    for product_id in quantities:
        if product_id not in for_sale:
            raise ProductNotFound(product_id)
    if not all(row[6] for row in rows):
        raise OutOfStock([Shortage(row[0], row[3], row[4]) for row in rows if row[4] < row[3]])
    return [TakenLine(*row[:4]) for row in rows]


def record_sale(unit: Transaction, quantities: Mapping[int, int], *, order_id: int, now: datetime) -> None:
    """Write the movements of units that `take_stock` took for this order."""
    _record(
        unit,
        MovementReason.SALE,
        {product: -quantity for product, quantity in quantities.items()},
        order_id,
        now,
    )


def return_stock(unit: Transaction, quantities: Mapping[int, int], *, order_id: int, now: datetime) -> None:
    """Put an order's units back, once: a second return of it breaks a constraint."""
    sql.execute(RETURN_STOCK, _arrays(quantities))
    _record(unit, MovementReason.RETURN, quantities, order_id, now)


def adjust_stock(unit: Transaction, *, product_id: int, delta: int, actor_id: int, note: str, now: datetime) -> int:
    """Correct the stock of one product by `delta` units and return what it is then.

    Raises ProductNotFound, OutOfStock where less than `-delta` units are there.
    """
    row = sql.fetch_one(ADJUST_STOCK, [delta, product_id, delta])
    if row is None:
        stock = sql.fetch_one("SELECT stock FROM product WHERE id = %s", [product_id])
        raise OutOfStock([Shortage(product_id, -delta, stock[0])]) if stock else ProductNotFound(product_id)
    unit.append(INSERT_ADJUSTMENT, (product_id, MovementReason.ADJUSTMENT.value, delta, actor_id, note, now))
    return int(row[0])


def save_product(product: Product, *, fields: Sequence[str], seen: Mapping[str, object]) -> None:
    """Write these fields of a product. The row is locked first, so nobody else writes them meanwhile.

    Raises ProductNotFound, ChangedMeanwhile where a field is not any more what was `seen`.
    """
    stored = Product.objects.select_for_update(no_key=True).filter(pk=product.pk).first()
    if stored is None:
        raise ProductNotFound(product.pk)
    require_unchanged(stored, seen)
    product.save(update_fields=fields)


def open_stock(unit: Transaction, *, product_id: int, quantity: int, actor_id: int, now: datetime) -> None:
    """Record the `quantity` units (zero or more) that a new product was created with."""
    unit.append(INSERT_OPENING, (product_id, MovementReason.OPENING.value, quantity, actor_id, now))


def _record(
    unit: Transaction, reason: MovementReason, quantities: Mapping[int, int], order_id: int, now: datetime
) -> None:
    unit.append(INSERT_MOVEMENTS, (reason.value, order_id, now, list(quantities), list(quantities.values())))


def _arrays(quantities: Mapping[int, int]) -> dict[str, list[int]]:
    return {"product_ids": list(quantities), "quantities": list(quantities.values())}
