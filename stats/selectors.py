"""Reading the statistics; never writes."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import F, Sum

from commerce.core.page_cache import PageCache
from stats.models import DeadLetter, ProductStat

POPULAR_DAYS = timedelta(days=3)
MOST_POPULAR = 5
POPULAR = PageCache("popular")
"""The rendered popular list; it lives out its time, whatever is sold meanwhile."""


@dataclass(frozen=True)
class PopularProduct:
    """A product on the popular list. `price` is won, as it is today."""

    product_id: int
    name: str
    price: int
    quantity_sold: int


def popular_since(today: date) -> date:
    """The first day that counts for the popular list."""
    return today - POPULAR_DAYS


def popular_products(today: date) -> list[PopularProduct]:
    """The active products with the most units sold since `popular_since(today)`, ties by lower id."""
    rows = (
        ProductStat.objects.filter(date__gte=popular_since(today), product__is_active=True)
        .values("product_id", name=F("product__name"), price=F("product__price"))
        .annotate(quantity_sold=Sum("quantity_sold"))
        .filter(quantity_sold__gt=0)
        .order_by("-quantity_sold", "product_id")
    )
    return [PopularProduct(**row) for row in rows[:MOST_POPULAR]]


def waiting_dead_letters() -> list[int]:
    """The ids of the messages that could not be counted and have not been replayed, the oldest first."""
    return list(DeadLetter.objects.filter(replayed_at=None).order_by("id").values_list("id", flat=True))
