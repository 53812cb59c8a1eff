"""What staff do with the catalogue.

Owns the locks and the transaction of each use case; stock moves in `operations`.
"""

from collections.abc import Mapping

from django.utils import timezone

from commerce.core.locks import locked_transaction, product_lock
from products import operations
from products.models import Product
from products.selectors import PRODUCT_LIST

EDITABLE = ("name", "description", "price", "is_active", "updated_at")


def adjust_stock(*, product_id: int, delta: int, actor_id: int, note: str) -> int:
    """Add `delta` units (negative: take away) for the reason in `note`, and return the stock after it.

    Adjustments of two members of staff at once both count. Raises ProductNotFound, OutOfStock where more would be
    taken away than is there, LockTimeout.
    """
    with locked_transaction(product_lock(product_id)) as unit:
        stock = operations.adjust_stock(
            unit, product_id=product_id, delta=delta, actor_id=actor_id, note=note, now=timezone.now()
        )
        unit.on_committed(PRODUCT_LIST.renew)
    return stock


def create_product(product: Product, *, opening_stock: int, actor_id: int) -> Product:
    """Put a new product on the shelf with `opening_stock` units (zero or more). The public list shows it at once."""
    with locked_transaction() as unit:
        product.stock = opening_stock
        product.save(force_insert=True)
        operations.open_stock(
            unit, product_id=product.pk, quantity=opening_stock, actor_id=actor_id, now=timezone.now()
        )
        unit.on_committed(PRODUCT_LIST.renew)
    return product


def save_product(product: Product, *, seen: Mapping[str, object] | None = None) -> Product:
    """Change a product's name, description, price or whether it is for sale. Stock is not touched.

    `seen`: what some of its fields were when the change was decided; None: whatever they are now. The public list
    shows it at once. Raises ProductNotFound, ChangedMeanwhile.
    """
    with locked_transaction() as unit:
        operations.save_product(product, fields=EDITABLE, seen=seen or {})
        unit.on_committed(PRODUCT_LIST.renew)
    return product
