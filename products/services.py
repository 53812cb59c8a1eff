"""Use cases of staff on the catalogue. Each acquires its locks, opens its transaction and writes its audit record."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, add_record, record
from commerce.core.locks import load, locked_transaction, product_lock
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency, commit_once
from products import operations, selectors
from products.models import EDITABLE, ImportLine, Product, ProductImport
from products.rules import IMPORT_KEPT_HOURS, OfferChange
from products.selectors import PRODUCT_LIST

STOCK_ADJUSTED = gettext_noop("Stock adjusted")

LINES_AT_ONCE = 50
"""Lines imported in one transaction; small, so that orders do not wait long for the products' locks."""


def adjust_stock(*, product_id: int, delta: int, by: Staff, idempotency: Idempotency) -> int:
    """Add `delta` units (negative: remove) with the reason in `by`, and return the new stock.

    Concurrent adjustments both count. Raises ProductNotFound, OutOfStock if more would be removed than is available,
    TooManyUnits, LockTimeout.
    """
    return commit_once(AdjustStock(product_id, delta, by), idempotency)


@dataclass(frozen=True)
class AdjustStock:
    """See `adjust_stock`."""

    product_id: int
    delta: int
    by: Staff

    def locks(self) -> list[str]:
        return [product_lock(self.product_id)]

    def load(self, transaction: Transaction) -> None:
        operations.will_move(transaction, (self.product_id,))

    def decide(self, transaction: Transaction) -> int:
        stock = operations.adjust_stock(
            transaction, product_id=self.product_id, delta=self.delta, actor_id=self.by.id, note=self.by.reason
        )
        before, after = {"stock": stock - self.delta}, {"stock": stock}
        add_record(transaction, self.by, STOCK_ADJUSTED, Product, self.product_id, before=before, after=after)
        transaction.on_committed(PRODUCT_LIST.renew)
        return stock


def create_product(product: Product, *, opening_stock: int, by: Staff, idempotency: Idempotency) -> Product:
    """Create a product with `opening_stock` units (zero or more). The public list shows it at once."""
    with locked_transaction(*idempotency.locks) as transaction:
        operations.add_product(transaction, product, opening_stock=opening_stock, by=by)
        idempotency.remember(transaction, product)
        transaction.on_committed(PRODUCT_LIST.renew)
    return product


def save_product(product: Product, *, by: Staff, seen: Mapping[str, object] | None = None) -> Product:
    """Save the `EDITABLE` fields of a product; its stock does not change.

    `seen`: the values that the change is based on; one that differs now raises ChangedMeanwhile. The public list shows
    the change at once. Raises ProductNotFound, ChangedMeanwhile.
    """
    with locked_transaction() as transaction:
        stored = operations.save_product(product, fields=(*EDITABLE, "updated_at"), seen=seen or {})
        before, after = ({name: getattr(row, name) for name in EDITABLE} for row in (stored, product))
        if before != after:
            record(by, operations.CHANGED, product, before=before, after=after)
        transaction.on_committed(PRODUCT_LIST.renew)
    return product


def save_offers(changes: Sequence[OfferChange], *, by: Staff, idempotency: Idempotency) -> int:
    """Change prices and availability of products, all or none, with an audit record for each; returns how many.

    The public list shows it at once. Raises ProductNotFound, ChangedMeanwhile.
    """
    with locked_transaction(*idempotency.locks) as transaction:
        operations.save_offers(transaction, changes, by=by)
        idempotency.remember(transaction, len(changes))
        transaction.on_committed(PRODUCT_LIST.renew)
    return len(changes)


def keep_import(*, file_name: str, lines: Sequence[ImportLine], by: Staff) -> ProductImport:
    """Store the planned lines of a file for its preview; no product changes.

    Deletes files older than `IMPORT_KEPT_HOURS`; of those that were imported the counts of rows are kept.
    """
    now = timezone.now()
    with locked_transaction():
        operations.forget_imports(before=now - timedelta(hours=IMPORT_KEPT_HOURS))
        kept = ProductImport.objects.create(staff_id=by.id, file_name=file_name[:200], uploaded_at=now)
        for line in lines:
            line.product_import = kept
        ImportLine.objects.bulk_create(lines, batch_size=1_000)
    return kept


def import_products(product_import: ProductImport, *, by: Staff, within_seconds: float) -> int:
    """Import the valid lines of a file, each once, and return how many are left when the time is over.

    Each line succeeds or is refused by itself, which its outcome records. An interrupted or repeated call continues
    where the previous one stopped. Products are locked a few at a time. Raises LockTimeout; imported lines stay.
    """
    deadline = time.monotonic() + within_seconds
    after = 0
    with locked_transaction():
        product_import.reason = by.reason
        product_import.save(update_fields=["reason"])
    while lines := list(selectors.lines_to_import(product_import).filter(number__gt=after)[:LINES_AT_ONCE]):
        if after and time.monotonic() > deadline:
            return selectors.lines_to_import(product_import).count()
        _import_lines(product_import, lines, by)
        after = lines[-1].number
    return 0


def _import_lines(product_import: ProductImport, lines: Sequence[ImportLine], by: Staff) -> None:
    product_ids = [line.product_id for line in lines if line.product_id]
    with locked_transaction(*map(product_lock, product_ids)) as transaction:
        waiting = operations.lock_waiting_lines(product_import.pk, [line.number for line in lines])
        products = operations.lock_products(product_ids)
        operations.will_move(transaction, product_ids)
        load(transaction)
        for line in waiting:
            operations.import_line(transaction, line, products, file_name=product_import.file_name, by=by)
        operations.save_outcomes(product_import.pk, waiting)
        transaction.on_committed(PRODUCT_LIST.renew)
