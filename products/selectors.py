"""Reading the catalogue; never writes."""

from typing import Any

from django.db.models import Q, QuerySet

from commerce.core.page_cache import PageCache
from products.errors import ProductNotFound
from products.models import Product

# What a customer may sort by, with the id last so that equal values keep one order across pages.
ORDERINGS: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "price": ("price", "id"),
    "-price": ("-price", "id"),
    "name": ("name", "id"),
    "-createdAt": ("-created_at", "-id"),
}
PRODUCT_LIST = PageCache("products")
"""The rendered product lists. Staff edits renew it; sales do not: the stock shown may be a minute old."""

SHOWN = ("id", "name", "description", "price", "stock")


def products_for_sale(
    *,
    search: str = "",
    ordering: str = "id",
    min_price: int | None = None,
    max_price: int | None = None,
    in_stock: bool = False,
) -> "QuerySet[Product, dict[str, Any]]":
    """Active products, narrowed by what is given. `search` looks into names and descriptions; prices are won."""
    products = Product.objects.filter(is_active=True)
    if search:
        products = products.filter(Q(name__icontains=search) | Q(description__icontains=search))
    if min_price is not None:
        products = products.filter(price__gte=min_price)
    if max_price is not None:
        products = products.filter(price__lte=max_price)
    if in_stock:
        products = products.filter(stock__gt=0)
    shown: QuerySet[Product, dict[str, Any]] = products.order_by(*ORDERINGS[ordering]).values(*SHOWN)
    return shown


def product_for_sale(product_id: int) -> dict[str, Any]:
    """One active product. Raises ProductNotFound."""
    product: dict[str, Any] | None = Product.objects.filter(id=product_id, is_active=True).values(*SHOWN).first()
    if product is None:
        raise ProductNotFound(product_id)
    return product
