"""Movements of stock and changes of products, inside the caller's transaction.

The statements that lock, read and write stock, each change with its movement row; the rules are in
`rules.StockedProduct`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, add_record, record
from commerce.core.errors import ChangedMeanwhile, DomainError, require_unchanged
from commerce.core.transaction import LockedRows, NewRows, Transaction
from products.errors import OutOfStock, ProductNotFound
from products.models import EDITABLE, ImportLine, LineOutcome, LinePlan, MovementReason, Product, ProductImport
from products.rules import OfferChange, StockedProduct, hold_all, take_all, take_all_held

ADDED = gettext_noop("Added")
CHANGED = gettext_noop("Changed")
IMPORTED = gettext_noop("Imported")


class Products(LockedRows[StockedProduct]):
    """The products whose stock moves."""

    lock_order = 20
    row = StockedProduct
    LOCK = """
        SELECT id, name, price, stock, is_active, purchase_limit, held FROM product
        WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = "SELECT id FROM product WHERE id = ANY(%s::bigint[])"
    # A delta, not a new value: even without the row lock a constraint would stop overselling.
    SAVE = """
        UPDATE product SET stock = stock + moved, held = held + newly_held
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, moved integer, newly_held integer)
        WHERE product.id = saved.id
    """


class StockMovements(NewRows):
    """A row for each change of a stock."""

    INSERT = """
        INSERT INTO stock_movement (product_id, reason, quantity, order_id, refund_id, actor_id, note, created_at)
        SELECT product_id, reason, quantity, order_id, refund_id, actor_id, coalesce(note, ''), created_at
        FROM jsonb_to_recordset(%s::jsonb) AS added (
            product_id bigint, reason text, quantity integer, order_id bigint, refund_id bigint, actor_id bigint,
            note text, created_at timestamptz
        )
    """


def will_move(transaction: Transaction, product_ids: Iterable[int]) -> None:
    """Load what the movements below need."""
    transaction[Products].want(product_ids)


def take_stock(transaction: Transaction, quantities: Mapping[int, int], *, order_id: int) -> dict[int, StockedProduct]:
    """Take units (quantity by product id) for an order, all or none; returns the products by id.

    Held units are not taken. Raises ProductNotFound for a product that is not for sale, OutOfStock with every product
    that has too few.
    """
    locked = transaction[Products]
    products = {product_id: locked.get(product_id) for product_id in quantities}
    take_all(products, quantities)
    taken = {product_id: product for product_id, product in products.items() if product is not None}
    _record(transaction, MovementReason.SALE, {each: -quantity for each, quantity in quantities.items()}, order_id)
    return taken


def hold_stock(transaction: Transaction, quantities: Mapping[int, int]) -> None:
    """Hold units (quantity by product id) for a cart, all or none: they stay in stock, but others cannot buy them.

    Raises ProductNotFound for a product that is not for sale, OutOfStock with every product that has too few.
    """
    locked = transaction[Products]
    hold_all({product_id: locked.get(product_id) for product_id in quantities}, quantities)


def release_stock(transaction: Transaction, quantities: Mapping[int, int]) -> None:
    """Release held units (quantity by product id)."""
    for product_id, quantity in quantities.items():
        _product(transaction, product_id).release(quantity)


def take_held_stock(
    transaction: Transaction, quantities: Mapping[int, int], *, order_id: int
) -> dict[int, StockedProduct]:
    """Take a cart's held units for its order; returns the products by id.

    Raises ProductNotFound for a product that is not for sale any more.
    """
    locked = transaction[Products]
    products = {product_id: locked.get(product_id) for product_id in quantities}
    take_all_held(products, quantities)
    _record(transaction, MovementReason.SALE, {each: -quantity for each, quantity in quantities.items()}, order_id)
    return {product_id: product for product_id, product in products.items() if product is not None}


def return_stock(
    transaction: Transaction, quantities: Mapping[int, int], *, order_id: int, refund_id: int | None = None
) -> None:
    """Return units of an order to stock: once for its cancellation, or once for each refund.

    Repeating one violates a constraint.
    """
    for product_id, quantity in quantities.items():
        _product(transaction, product_id).put_back(quantity)
    _record(transaction, MovementReason.RETURN, quantities, order_id, refund_id)


def adjust_stock(transaction: Transaction, *, product_id: int, delta: int, actor_id: int, note: str) -> int:
    """Correct the stock of one product by `delta` units and return the new stock.

    Raises ProductNotFound, OutOfStock if fewer than `-delta` units are available, TooManyUnits.
    """
    product = _product(transaction, product_id)
    product.adjust(delta)
    transaction[StockMovements].add(
        {
            "product_id": product_id,
            "reason": MovementReason.ADJUSTMENT.value,
            "quantity": delta,
            "actor_id": actor_id,
            "note": note,
            "created_at": transaction.now,
        }
    )
    return product.stock


def lock_products(product_ids: Sequence[int]) -> dict[int, Product]:
    """Lock the products for this transaction and return the existing ones by id."""
    rows = Product.objects.select_for_update(no_key=True).filter(pk__in=product_ids).order_by("pk")
    return {product.pk: product for product in rows}


def save_product(product: Product, *, fields: Sequence[str], seen: Mapping[str, object]) -> Product:
    """Write these fields of a product, and return the product as it was before.

    Raises ProductNotFound, ChangedMeanwhile if a field differs from its value in `seen`.
    """
    stored = _unchanged(lock_products([product.pk]), product.pk, seen)
    product.save(update_fields=fields)
    return stored


def save_offers(transaction: Transaction, changes: Sequence[OfferChange], *, by: Staff) -> None:
    """Write prices and availability of products, with an audit record for `by`.

    Raises ProductNotFound, ChangedMeanwhile if one differs from its `seen` offer.
    """
    locked = lock_products([change.product_id for change in changes])
    for change in changes:
        seen, offer = asdict(change.seen), asdict(change.offer)
        product = _unchanged(locked, change.product_id, seen)
        for name, value in offer.items():
            setattr(product, name, value)
        product.updated_at = transaction.now
        add_record(transaction, by, CHANGED, Product, product.pk, before=seen, after=offer)
    changed = [locked[change.product_id] for change in changes]
    Product.objects.bulk_update(changed, ["price", "is_active", "updated_at"])


def add_product(transaction: Transaction, product: Product, *, opening_stock: int, by: Staff) -> None:
    """Create a product with `opening_stock` units (zero or more) and an audit record."""
    product.stock = opening_stock
    product.save(force_insert=True)
    transaction[StockMovements].add(
        {
            "product_id": product.pk,
            "reason": MovementReason.OPENING.value,
            "quantity": opening_stock,
            "actor_id": by.id,
            "created_at": transaction.now,
        }
    )
    record(by, ADDED, product, after={name: getattr(product, name) for name in (*EDITABLE, "stock")})


def lock_waiting_lines(import_id: int, numbers: Sequence[int]) -> list[ImportLine]:
    """Lock and return those of the lines that are not imported yet. A concurrent import of the same lines waits."""
    lines = ImportLine.objects.select_for_update(no_key=True).order_by("number")
    return list(lines.filter(product_import_id=import_id, number__in=numbers, outcome=LineOutcome.WAITING))


def import_line(
    transaction: Transaction, line: ImportLine, products: Mapping[int, Product], *, file_name: str, by: Staff
) -> None:
    """Execute the plan of a line, all of it or nothing, and set its outcome, which the caller saves.

    The line and its product, one of `products`, must be locked. A product that was changed since the line was planned
    is not changed.
    """
    try:
        if line.plan == LinePlan.ADD:
            product = Product(**line.values)
            add_product(transaction, product, opening_stock=line.stock_change, by=by)
            line.product_id = product.pk
        else:
            seen = {name: value for name, value in line.seen.items() if name != "stock"}
            product = _unchanged(products, line.product_id or 0, seen)
            _import_change(transaction, line, product, file_name=file_name, by=by)
    except DomainError as refusal:
        transaction.undo()
        line.outcome, line.message = LineOutcome.REFUSED, _why_not(refusal)
    else:
        transaction.keep()
        line.outcome = LineOutcome.IMPORTED


def save_outcomes(import_id: int, lines: Sequence[ImportLine]) -> None:
    """Save the outcomes of locked lines, in the transaction of their effects."""
    ImportLine.objects.bulk_update(lines, ["outcome", "message", "product_id"])
    imported = sum(line.outcome == LineOutcome.IMPORTED for line in lines)
    ProductImport.objects.filter(pk=import_id).update(
        imported_count=F("imported_count") + imported,
        refused_count=F("refused_count") + len(lines) - imported,
        imported_at=Now(),
    )


def forget_imports(*, before: datetime) -> None:
    """Delete the lines of files uploaded before this time, and the files of which nothing was imported."""
    old = ProductImport.objects.filter(uploaded_at__lt=before)
    ImportLine.objects.filter(product_import__in=old).delete()
    old.filter(imported_at__isnull=True).delete()


def _unchanged(locked: Mapping[int, Product], product_id: int, seen: Mapping[str, object]) -> Product:
    if product_id not in locked:
        raise ProductNotFound(product_id)
    require_unchanged(locked[product_id], seen)
    return locked[product_id]


def _import_change(transaction: Transaction, line: ImportLine, product: Product, *, file_name: str, by: Staff) -> None:
    before = {name: getattr(product, name) for name in line.values}
    after = {**line.values, "file": file_name}
    # First, because only this step can be refused.
    if line.stock_change:
        delta = line.stock_change
        stock = adjust_stock(transaction, product_id=product.pk, delta=delta, actor_id=by.id, note=by.reason)
        before["stock"], after["stock"] = stock - delta, stock
    if line.values:
        for name, value in line.values.items():
            setattr(product, name, value)
        product.save(update_fields=[*line.values, "updated_at"])
    record(by, IMPORTED, product, before=before, after=after)


def _why_not(refusal: DomainError) -> str:
    """The refusal as a message for the list of lines."""
    if isinstance(refusal, OutOfStock):
        return refusal.for_staff
    if isinstance(refusal, ChangedMeanwhile):
        return _("Somebody else has changed it since the file was read.")
    return str(refusal)


def _product(transaction: Transaction, product_id: int) -> StockedProduct:
    product = transaction[Products].get(product_id)
    if product is None:
        raise ProductNotFound(product_id)
    return product


def _record(
    transaction: Transaction,
    reason: MovementReason,
    quantities: Mapping[int, int],
    order_id: int,
    refund_id: int | None = None,
) -> None:
    movements = transaction[StockMovements]
    for product_id, quantity in quantities.items():
        movements.add(
            {
                "product_id": product_id,
                "reason": reason.value,
                "quantity": quantity,
                "order_id": order_id,
                "refund_id": refund_id,
                "created_at": transaction.now,
            }
        )
