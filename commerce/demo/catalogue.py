"""The products and coupons of the demo shop. Names, prices and quantities are the same on every run."""

import csv
from dataclasses import dataclass
from pathlib import Path

SOLD_OUT_ID = 13
"""Its initial stock is exactly the number of units that are sold in the demo week."""
INACTIVE_ID = 50
LIMITED = {41: 5, 46: 5}
"""Purchase limits by id. No customer of the demo week has bought more."""


@dataclass(frozen=True)
class DemoProduct:
    """A product with its initial stock; `price` in won."""

    name: str
    description: str
    price: int
    opening_stock: int
    purchase_limit: int | None = None


def _products() -> tuple[DemoProduct, ...]:
    with (Path(__file__).parent / "products.csv").open(encoding="utf-8", newline="") as table:
        return tuple(
            DemoProduct(
                name=f"{row['korean']} / {row['english']}",
                description=row["description"],
                price=int(row["price"]),
                opening_stock=int(row["opening_stock"]),
                purchase_limit=LIMITED.get(product_id),
            )
            for product_id, row in enumerate(csv.DictReader(table), start=1)
        )


PRODUCTS = _products()
"""Their ids are 1 to 50, in this order."""


@dataclass(frozen=True)
class DemoCoupon:
    """A coupon. Its days are relative to the time of loading; negative ones are in the past."""

    name: str
    discount_type: str
    discount_value: int
    max_discount: int | None
    min_order_amount: int
    total_quantity: int
    starts_in_days: int
    ends_in_days: int
    valid_for_days: int


OPEN_FIXED, OPEN_PERCENT, NOT_YET_OPEN, PASSED, NEARLY_SOLD_OUT = range(1, 6)
"""Their ids."""

COUPONS: tuple[DemoCoupon, ...] = (
    DemoCoupon(
        name="선착순 5,000원 할인 / 5,000 Won Off, First 100",
        discount_type="FIXED",
        discount_value=5_000,
        max_discount=None,
        min_order_amount=10_000,
        total_quantity=100,
        starts_in_days=-1,
        ends_in_days=30,
        valid_for_days=60,
    ),
    DemoCoupon(
        name="전 상품 10% 할인 / 10% Off Everything",
        discount_type="PERCENT",
        discount_value=10,
        max_discount=10_000,
        min_order_amount=20_000,
        total_quantity=5_000,
        starts_in_days=-8,
        ends_in_days=30,
        valid_for_days=60,
    ),
    DemoCoupon(
        name="다음 주 15% 할인 / Next Week 15% Off",
        discount_type="PERCENT",
        discount_value=15,
        max_discount=20_000,
        min_order_amount=30_000,
        total_quantity=500,
        starts_in_days=7,
        ends_in_days=37,
        valid_for_days=67,
    ),
    DemoCoupon(
        name="지난주 3,000원 할인 / Last Week 3,000 Won Off",
        discount_type="FIXED",
        discount_value=3_000,
        max_discount=None,
        min_order_amount=0,
        total_quantity=200,
        starts_in_days=-14,
        ends_in_days=-7,
        valid_for_days=-1,
    ),
    DemoCoupon(
        name="마감 임박 10,000원 할인 / 10,000 Won Off, Nearly Gone",
        discount_type="FIXED",
        discount_value=10_000,
        max_discount=None,
        min_order_amount=30_000,
        total_quantity=100,
        starts_in_days=-10,
        ends_in_days=30,
        valid_for_days=60,
    ),
)
