"""Queries on the statistics and dead letters."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import BigIntegerField, F, Min, QuerySet, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from commerce.core import sql
from commerce.core.page_cache import PageCache
from orders import selectors as orders
from stats.models import DeadLetter, ProductStat

POPULAR_DAYS = timedelta(days=3)
MOST_POPULAR = 5
POPULAR = PageCache("popular", shows_edits=False)
"""The rendered popular list, cached for its full lifetime: sales do not invalidate it."""


@dataclass(frozen=True)
class PopularProduct:
    """A product on the popular list. `price` is the current one, in won."""

    product_id: int
    name: str
    price: int
    quantity_sold: int


def popular_since(today: date) -> date:
    """The first day included in the popular list."""
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


def sales(first: date, last: date, *, product_id: int | None = None) -> "QuerySet[ProductStat]":
    """The statistics of the days from `first` to `last`, both inclusive, for one product or all."""
    rows = ProductStat.objects.filter(date__gte=first, date__lte=last)
    return rows if product_id is None else rows.filter(product_id=product_id)


def first_day() -> date:
    """The first day with an order or a statistic; today if there is neither."""
    counted: date | None = ProductStat.objects.aggregate(first=Min("date"))["first"]
    return min(day for day in (counted, orders.first_day(), timezone.localdate()) if day is not None)


def units_by_day(first: date, last: date, *, product_id: int | None = None) -> list[tuple[date, int]]:
    """Units sold on each day from `first` to `last`, both inclusive; 0 for days without sales."""
    rows = sales(first, last, product_id=product_id).order_by().values_list("date")
    units = dict(rows.annotate(units=Cast(Sum("quantity_sold"), BigIntegerField())))
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [(day, units.get(day, 0)) for day in days]


def most_sold(first: date, last: date, *, most: int, product_id: int | None = None) -> list[tuple[int, str, int]]:
    """Id, name and units of the `most` products with the most units sold from day `first` to `last`, both inclusive.

    Ties by lower id; products that are no longer for sale are included.
    """
    rows = (
        sales(first, last, product_id=product_id)
        .order_by()
        .values_list("product_id")
        .annotate(units=Cast(Sum("quantity_sold"), BigIntegerField()))
        .filter(units__gt=0)
        .order_by("-units", "product_id")
    )
    # Names are joined after the aggregation, not to every day of every product.
    found = list(rows[:most])
    names = product_names([product_id for product_id, _units in found])
    return [(product_id, names[product_id], units) for product_id, units in found]


def product_names(product_ids: Collection[int]) -> dict[int, str]:
    """The names of products, by id."""
    return dict(sql.fetch_all("SELECT id, name FROM product WHERE id = ANY(%s)", [list(product_ids)]))


def waiting_dead_letters() -> list[int]:
    """Ids of the dead letters that have not been replayed, oldest first."""
    return list(DeadLetter.objects.filter(replayed_at=None).order_by("id").values_list("id", flat=True))
