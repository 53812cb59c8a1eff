"""Queries on the catalogue, stock movements and imports."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from commerce.core.group_read import GroupRead
from commerce.core.page_cache import PageCache
from commerce.core.text import normal
from products.errors import ProductNotFound
from products.models import ImportLine, LineOutcome, LinePlan, Product, ProductImport, StockMovement
from products.rules import IMPORT_KEPT_HOURS, LOW_STOCK_UNITS

# The orderings that customers can choose. The id comes last, so that equal values keep one order across pages.
ORDERINGS: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "price": ("price", "id"),
    "-price": ("-price", "id"),
    "name": ("name", "id"),
    "-createdAt": ("-created_at", "-id"),
}
PRODUCT_LIST = PageCache("products")
"""The rendered product lists. Edits by staff invalidate them, sales do not: the shown stock may be a minute old."""

AVAILABLE = F("stock") - F("held")
"""The available units of a product."""
SHOWN = {
    "id": "id",
    "name": "name",
    "description": "description",
    "price": "price",
    "stock": "stock",
    "purchaseLimit": "purchase_limit",
}
"""The fields of a product in the API, each with its column; `stock` is the available units.

`products.serializers.ProductSerializer` documents them.
"""
_FOR_SALE = GroupRead(
    f"SELECT {', '.join({**SHOWN, 'stock': 'stock - held'}.values())} FROM product WHERE id = ANY(%s) AND is_active"  # noqa: S608  # our own columns
)


def products_for_sale(
    *,
    search: str = "",
    ordering: str = "id",
    min_price: int | None = None,
    max_price: int | None = None,
    in_stock: bool = False,
) -> "QuerySet[Product, tuple[Any, ...]]":
    """The `SHOWN` fields of the active products that match the filters; prices are won.

    Each word of `search` must occur in the name or the description, in any order, case-insensitively.
    """
    products = Product.objects.filter(is_active=True)
    for word in _words(search):
        products = products.filter(Q(name__icontains=word) | Q(description__icontains=word))
    if min_price is not None:
        products = products.filter(price__gte=min_price)
    if max_price is not None:
        products = products.filter(price__lte=max_price)
    if in_stock:
        products = products.filter(stock__gt=F("held"))
    columns: dict[str, Any] = {**SHOWN, "stock": AVAILABLE}
    shown: QuerySet[Product, tuple[Any, ...]] = products.order_by(*ORDERINGS[ordering]).values_list(*columns.values())
    return shown


def _words(text: str) -> Iterable[str]:
    return dict.fromkeys(normal(text).split())


def product_for_sale(product_id: int) -> dict[str, Any]:
    """One active product. Raises ProductNotFound."""
    row = _FOR_SALE.row(product_id)
    if row is None:
        raise ProductNotFound(product_id)
    return as_shown(row)


def as_shown(row: tuple[Any, ...]) -> dict[str, Any]:
    """The values of the `SHOWN` fields by name."""
    return dict(zip(SHOWN, row, strict=True))


def product_ids_called(text: str, *, most: int) -> list[int]:
    """Ids of up to `most` products, for sale or not, with every word of `text` in their name, case-insensitively."""
    products = Product.objects.order_by()
    for word in _words(text):
        products = products.filter(name__icontains=word)
    return list(products.values_list("id", flat=True)[:most])


def product_ids_named(name: str, *, most: int) -> list[int]:
    """Ids of up to `most` products with exactly this name."""
    return list(Product.objects.order_by().filter(name=name).values_list("id", flat=True)[:most])


def movements_of_order(order_id: int) -> "QuerySet[StockMovement]":
    """The stock movements of an order, oldest first."""
    return StockMovement.objects.filter(order_id=order_id).select_related("product").order_by("id")


@dataclass(frozen=True)
class ScarceStock:
    """How many products for sale are out of stock or low, and those with the fewest units.

    Units held for carts count as unavailable.
    """

    out: int
    low: int
    scarcest: "list[Product]"


def scarce_stock(*, most: int) -> ScarceStock:
    """The scarce stock now, with up to `most` products with the fewest units, ties by lower id."""
    # Scans the catalogue, which is small. An index on the stock would cost every order more than this saves, because
    # updates of products could no longer be HOT updates.
    for_sale = Product.objects.filter(is_active=True).alias(left=AVAILABLE)
    counts = for_sale.order_by().aggregate(
        out=Count("id", filter=Q(left=0)), low=Count("id", filter=Q(left__gt=0, left__lte=LOW_STOCK_UNITS))
    )
    scarce = for_sale.filter(left__lte=LOW_STOCK_UNITS).order_by("left", "id")
    return ScarceStock(counts["out"], counts["low"], list(scarce.only("id", "name", "stock", "held")[:most]))


def movements() -> "QuerySet[StockMovement]":
    """All movements, with `actor_name`: the user name of the member of staff, or None."""
    actor = get_user_model()._default_manager.filter(pk=OuterRef("actor_id"))
    return StockMovement.objects.annotate(actor_name=Subquery(actor.values("username")))


def products_by_id(product_ids: Iterable[int]) -> dict[int, Product]:
    """The existing ones of these products by id, for sale or not."""
    return Product.objects.in_bulk(list(product_ids))


def kept_imports(staff_id: int) -> "QuerySet[ProductImport]":
    """The files that this member of staff has uploaded within `IMPORT_KEPT_HOURS`, newest first."""
    oldest = timezone.now() - timedelta(hours=IMPORT_KEPT_HOURS)
    return ProductImport.objects.filter(staff_id=staff_id, uploaded_at__gt=oldest).order_by("-id")


def past_imports() -> "QuerySet[ProductImport]":
    """The files of which any line was imported or refused, newest first, each with `sender`: a user name."""
    users = get_user_model().objects.filter(pk=OuterRef("staff_id")).values("username")
    return ProductImport.objects.filter(imported_at__isnull=False).annotate(sender=Subquery(users)).order_by("-id")


def sender_of_import(import_id: int) -> str:
    """The user name of the member of staff who uploaded a file that is still kept; empty if there is none."""
    oldest = timezone.now() - timedelta(hours=IMPORT_KEPT_HOURS)
    sender_ids = ProductImport.objects.filter(pk=import_id, uploaded_at__gt=oldest).values("staff_id")
    return get_user_model().objects.filter(pk__in=sender_ids).values_list("username", flat=True).first() or ""


def lines_to_import(product_import: ProductImport) -> "QuerySet[ImportLine]":
    """The valid lines that are still to be imported, in the order of the file."""
    lines = ImportLine.objects.filter(product_import=product_import, outcome=LineOutcome.WAITING)
    return lines.filter(plan__in=[LinePlan.ADD, LinePlan.CHANGE]).order_by("number")


def line_counts(product_import: ProductImport) -> dict[str, int]:
    """The number of lines by plan and, of valid lines, by outcome; those not yet imported are WAITING."""
    lines = ImportLine.objects.filter(product_import=product_import)
    good = Q(plan__in=[LinePlan.ADD, LinePlan.CHANGE])
    counts: dict[str, int] = lines.aggregate(
        **{plan: Count("pk", filter=Q(plan=plan)) for plan in LinePlan.values},
        **{outcome: Count("pk", filter=good & Q(outcome=outcome)) for outcome in LineOutcome.values},
    )
    return counts


def rights_needed(product_import: ProductImport) -> set[str]:
    """The permissions needed to import the remaining valid lines: `add`, `change`, `adjust`."""
    lines = lines_to_import(product_import)
    changes = lines.filter(plan=LinePlan.CHANGE)
    kinds = {
        "add": lines.filter(plan=LinePlan.ADD),
        "change": changes.exclude(values={}),
        "adjust": changes.exclude(stock_change=0),
    }
    return {right for right, found in kinds.items() if found.exists()}
