"""Updates of frequently changed rows are HOT: the rows stay in their page, and indexes get no new entries."""

from collections.abc import Callable
from datetime import date

import pytest

from commerce.core import sql
from stats.models import ProductStat
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 200


def statistics() -> None:
    product = ProductFactory()
    ProductStat.objects.bulk_create(
        ProductStat(product=product, date=date.fromordinal(730_000 + number), quantity_sold=1) for number in range(ROWS)
    )


def issued_coupons() -> None:
    coupon = CouponFactory(total_quantity=ROWS)
    for _ in range(ROWS):
        UserCouponFactory(coupon=coupon)


def pages(table: str) -> dict[int, str]:
    """The page of each row, by id."""
    return dict(sql.fetch_all(f'SELECT id, (ctid::text::point)[0] FROM "{table}"'))  # noqa: S608  # a name from below


@pytest.mark.parametrize(
    ("table", "fill", "change"),
    [
        ("user", lambda: UserFactory.create_batch(ROWS), "balance = balance"),
        ("product", lambda: ProductFactory.create_batch(ROWS), "stock = stock"),
        ("coupon", lambda: CouponFactory.create_batch(ROWS), "issued_count = issued_count"),
        ("user_coupon", issued_coupons, "status = status"),
        ("product_stat", statistics, "quantity_sold = quantity_sold"),
    ],
    ids=["user", "product", "coupon", "user_coupon", "product_stat"],
)
def test_a_changed_row_stays_in_its_page(table: str, fill: Callable[[], object], change: str) -> None:
    # A new table file: rows that earlier tests deleted would leave free space in many pages.
    sql.execute(f'TRUNCATE "{table}" CASCADE')
    fill()
    before = pages(table)
    assert len(set(before.values())) > 1
    sql.execute(f'UPDATE "{table}" SET {change} WHERE mod(id, 10) = 0')  # noqa: S608  # as above
    assert pages(table) == before
