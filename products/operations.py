"""Moving stock, inside a transaction that someone else has opened, and a look at it before there is one.

Owns the statements that change stock, each with its movement row. Never opens a transaction, never takes money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, record
from commerce.core import sql
from commerce.core.errors import ChangedMeanwhile, DomainError, require_unchanged
from commerce.core.transaction import Transaction
from products.errors import OutOfStock, ProductNotFound, Shortage, TooManyUnits
from products.models import ImportLine, LineOutcome, LinePlan, MovementReason, Product
from products.rules import MOST_UNITS

ADDED = gettext_noop("Added")
IMPORTED = gettext_noop("Imported")

# The rows are locked in the order of their ids before any is changed, so two carts that share products cannot wait
# for each other in a circle, with or without the Redis locks. All are taken or none. What counts is the stock that was
# read with the lock: the statement's own view of the row may be older.
TAKE_STOCK = """
    WITH wanted AS (
        SELECT * FROM unnest(%(product_ids)s::bigint[], %(quantities)s::integer[]) AS wanted (product_id, quantity)
    ), locked AS (
        SELECT product.id, name, price, stock, is_active, wanted.quantity
        FROM product JOIN wanted ON wanted.product_id = product.id
        ORDER BY product.id
        FOR NO KEY UPDATE OF product
    ), taken AS (
        UPDATE product SET stock = locked.stock - locked.quantity
        FROM locked
        WHERE product.id = locked.id
          AND NOT EXISTS (SELECT FROM locked AS short WHERE short.stock < short.quantity OR NOT short.is_active)
        RETURNING product.id
    )
    SELECT locked.id, name, price, locked.quantity, stock, is_active, taken.id IS NOT NULL
    FROM locked LEFT JOIN taken ON taken.id = locked.id
    ORDER BY locked.id
"""

LOOK_AT_STOCK = """
    SELECT product.id, name, price, wanted.quantity, stock, is_active, stock >= wanted.quantity
    FROM product JOIN unnest(%(product_ids)s::bigint[], %(quantities)s::integer[]) AS wanted (product_id, quantity)
        ON wanted.product_id = product.id
    ORDER BY product.id
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

ADJUST_STOCK = """
    UPDATE product SET stock = stock + %s WHERE id = %s AND stock::bigint + %s BETWEEN 0 AND %s RETURNING stock
"""

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
    _require_enough(quantities, rows)
    return [TakenLine(*row[:4]) for row in rows]


def require_stock(quantities: Mapping[int, int]) -> None:
    """See whether there are so many units (quantity by product id), as things are; to get them is another matter.

    Raises ProductNotFound for a product that is not for sale, OutOfStock with every product that has too few.
    """
    _require_enough(quantities, sql.fetch_all(LOOK_AT_STOCK, _arrays(quantities)))


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

    Raises ProductNotFound, OutOfStock where less than `-delta` units are there, TooManyUnits.
    """
    row = sql.fetch_one(ADJUST_STOCK, [delta, product_id, delta, MOST_UNITS])
    if row is None:
        stock = sql.fetch_one("SELECT stock FROM product WHERE id = %s", [product_id])
        if stock is None:
            raise ProductNotFound(product_id)
        raise TooManyUnits(stock[0], MOST_UNITS) if delta > 0 else OutOfStock([Shortage(product_id, -delta, stock[0])])
    unit.append(INSERT_ADJUSTMENT, (product_id, MovementReason.ADJUSTMENT.value, delta, actor_id, note, now))
    return int(row[0])


def lock_products(product_ids: Sequence[int]) -> dict[int, Product]:
    """Those of the products that exist, by id, as they are; nobody else writes them before this transaction ends."""
    rows = Product.objects.select_for_update(no_key=True).filter(pk__in=product_ids).order_by("pk")
    return {product.pk: product for product in rows}


def save_product(product: Product, *, fields: Sequence[str], seen: Mapping[str, object]) -> Product:
    """Write these fields of a product, and return it as it was before.

    Raises ProductNotFound, ChangedMeanwhile where a field is not any more what was `seen`.
    """
    stored = _unchanged(lock_products([product.pk]), product.pk, seen)
    product.save(update_fields=fields)
    return stored


def add_product(unit: Transaction, product: Product, *, opening_stock: int, by: Staff, now: datetime) -> None:
    """Put a new product on the shelf with `opening_stock` units (zero or more), and write down who did."""
    product.stock = opening_stock
    product.save(force_insert=True)
    opening = (product.pk, MovementReason.OPENING.value, opening_stock, by.id, now)
    unit.append(INSERT_OPENING, opening)
    shown = ("name", "description", "price", "is_active", "stock")
    record(by, ADDED, product, after={name: getattr(product, name) for name in shown})


def lock_waiting_lines(import_id: int, numbers: Sequence[int]) -> list[ImportLine]:
    """Those of the lines that are not imported yet; whoever else wants to import them waits, and finds them done."""
    lines = ImportLine.objects.select_for_update(no_key=True).order_by("number")
    return list(lines.filter(product_import_id=import_id, number__in=numbers, outcome=LineOutcome.WAITING))


def import_line(
    unit: Transaction, line: ImportLine, products: Mapping[int, Product], *, file_name: str, by: Staff, now: datetime
) -> None:
    """Do what a line of a file plans, all of it or nothing; its outcome says which, and why, and is to be saved.

    The line and its product, one of `products`, are locked. A product that somebody has changed since the line was
    planned is left alone.
    """
    try:
        if line.plan == LinePlan.ADD:
            product = Product(**line.values)
            add_product(unit, product, opening_stock=line.stock_change, by=by, now=now)
            line.product_id = product.pk
        else:
            seen = {name: value for name, value in line.seen.items() if name != "stock"}
            product = _unchanged(products, line.product_id or 0, seen)
            _import_change(unit, line, product, file_name=file_name, by=by, now=now)
    except DomainError as refusal:
        line.outcome, line.told = LineOutcome.REFUSED, _why_not(refusal)
    else:
        line.outcome = LineOutcome.IMPORTED


def save_outcomes(lines: Sequence[ImportLine]) -> None:
    """Keep what came of locked lines, in the transaction in which it came of them."""
    ImportLine.objects.bulk_update(lines, ["outcome", "told", "product_id"])


def _unchanged(locked: Mapping[int, Product], product_id: int, seen: Mapping[str, object]) -> Product:
    if product_id not in locked:
        raise ProductNotFound(product_id)
    require_unchanged(locked[product_id], seen)
    return locked[product_id]


def _import_change(
    unit: Transaction, line: ImportLine, product: Product, *, file_name: str, by: Staff, now: datetime
) -> None:
    before = {name: getattr(product, name) for name in line.values}
    after = {**line.values, "file": file_name}
    # First, because it can be refused, and what follows cannot.
    if line.stock_change:
        delta = line.stock_change
        stock = adjust_stock(unit, product_id=product.pk, delta=delta, actor_id=by.id, note=by.reason, now=now)
        before["stock"], after["stock"] = stock - delta, stock
    if line.values:
        for name, value in line.values.items():
            setattr(product, name, value)
        product.save(update_fields=[*line.values, "updated_at"])
    record(by, IMPORTED, product, before=before, after=after)


def _why_not(refusal: DomainError) -> str:
    """As the list of lines says it."""
    if isinstance(refusal, OutOfStock):
        return _("Only %(stock)d are there.") % {"stock": refusal.shortages[0].available}
    if isinstance(refusal, ChangedMeanwhile):
        return _("Somebody else has changed it since the file was read.")
    return str(refusal)


def _require_enough(quantities: Mapping[int, int], rows: Sequence[tuple[Any, ...]]) -> None:
    """`rows`: as TAKE_STOCK and LOOK_AT_STOCK select them."""
    for_sale = {row[0] for row in rows if row[5]}
    for product_id in quantities:
        if product_id not in for_sale:
            raise ProductNotFound(product_id)
    if not all(row[6] for row in rows):
        raise OutOfStock([Shortage(row[0], row[3], row[4]) for row in rows if row[4] < row[3]])


def _record(
    unit: Transaction, reason: MovementReason, quantities: Mapping[int, int], order_id: int, now: datetime
) -> None:
    unit.append(INSERT_MOVEMENTS, (reason.value, order_id, now, list(quantities), list(quantities.values())))


def _arrays(quantities: Mapping[int, int]) -> dict[str, list[int]]:
    return {"product_ids": list(quantities), "quantities": list(quantities.values())}
