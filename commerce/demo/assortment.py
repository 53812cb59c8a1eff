"""Products, coupons and the number of customers of the large demo shop, in proportion to its orders.

Names, prices and quantities are the same on every run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum

from commerce.demo.catalogue import COUPONS, INACTIVE_ID, PRODUCTS, DemoCoupon, DemoProduct
from commerce.demo.week import HOLDERS

DAYS = 365
LINES = {1: 5, 2: 3, 3: 2, 4: 1}
"""Number of products in an order, with weights."""
QUANTITIES = {1: 8, 2: 4, 3: 2, 5: 1}
"""Units of a product in an order, with weights."""
VARIANT_LIMIT = 20
"""Purchase limit of the variants of products that have one in the small demo."""

_EVERY_DAYS, _OPEN_DAYS, _VALID_DAYS = 9, 14, 21
_COMING_IN_DAYS = (1, 3, 7, 14, 21)
_OPEN_SINCE_DAYS = (1, 2, 3, 4, 5, 6)
_NOTES = (
    ("주말 특가", "Weekend"),
    ("신상품 출시", "New Arrivals"),
    ("회원의 날", "Members' Day"),
    ("다시 만나요", "Come Back"),
    ("월급날", "Payday"),
)
# Korean and English name, type, value, maximum discount (won), minimum order amount (won).
_TERMS = (
    ("2,000원 할인", "2,000 Won Off", "FIXED", 2_000, None, 10_000),
    ("10% 할인", "10% Off", "PERCENT", 10, 5_000, 15_000),
    ("5,000원 할인", "5,000 Won Off", "FIXED", 5_000, None, 40_000),
    ("15% 할인", "15% Off", "PERCENT", 15, 10_000, 30_000),
)


@dataclass(frozen=True)
class Campaign:
    """A coupon, how many units customers take, and within how many days after its start."""

    coupon: DemoCoupon
    taken: int
    within_days: int


@dataclass(frozen=True)
class Assortment:
    """The contents of a shop with `orders` orders in a year."""

    orders: int

    @property
    def customers(self) -> int:
        """At least as many as in the small demo, because their logins are documented."""
        return max(1_000, self.orders // 10)

    @cached_property
    def products(self) -> list[DemoProduct]:
        """The catalogue, and variants of it according to the size of the shop. Their ids are 1, 2, 3 …"""
        count = min(5_000, max(300, self.orders // 500))
        return [self._product(product_id) for product_id in range(1, count + 1)]

    @cached_property
    def popularity(self) -> list[float]:
        """The share of each product in the sales. The first products sell best; a few are not for sale."""
        weights = [
            1 / (product_id + 4) if self.is_active(product_id) else 0.0
            for product_id in range(1, len(self.products) + 1)
        ]
        total = fsum(weights)
        return [weight / total for weight in weights]

    @cached_property
    def campaigns(self) -> list[Campaign]:
        """Coupons that are expired, available, sold out and scheduled. Their ids are 1, 2, 3 …"""
        known = [
            Campaign(coupon, HOLDERS.get(coupon_id, 0), coupon.ends_in_days - coupon.starts_in_days)
            for coupon_id, coupon in enumerate(COUPONS, start=1)
        ]
        return [*known, *self._campaigns(first_id=len(known) + 1)]

    def is_active(self, product_id: int) -> bool:
        return product_id % INACTIVE_ID != 0

    @cached_property
    def units_a_day(self) -> list[float]:
        """The approximate number of units of each product that are sold per day."""
        units = _mean(LINES) * _mean(QUANTITIES) * self.orders / DAYS
        return [share * units for share in self.popularity]

    def _product(self, product_id: int) -> DemoProduct:
        edition, position = divmod(product_id - 1, len(PRODUCTS))
        product = PRODUCTS[position]
        if edition == 0:
            # Some customers have bought any number of these in a year.
            return replace(product, purchase_limit=None)
        korean, english = product.name.split(" / ")
        return replace(
            product,
            name=f"{korean} {edition + 1}호 / {english} No. {edition + 1}",
            purchase_limit=product.purchase_limit and VARIANT_LIMIT,
            price=product.price * (70 + product_id * 37 % 61) // 10_000 * 100,
        )

    def _campaigns(self, first_id: int) -> Iterator[Campaign]:
        units = max(20, self.orders // 250)
        past = range(1 - DAYS, -_OPEN_DAYS, _EVERY_DAYS)
        starts = [*past, *(-days for days in _OPEN_SINCE_DAYS), *_COMING_IN_DAYS]
        for number, starts_in_days in enumerate(starts):
            quantity = units * (3 + number % 4) // 4
            is_rush = number % 3 == 0
            taken = quantity if is_rush else quantity * (40 + number * 17 % 50) // 100
            yield Campaign(
                _coupon(first_id + number, starts_in_days, quantity),
                taken=0 if starts_in_days > 0 else taken,
                within_days=1 if is_rush else _OPEN_DAYS,
            )


def _coupon(coupon_id: int, starts_in_days: int, quantity: int) -> DemoCoupon:
    korean, english = _NOTES[coupon_id % len(_NOTES)]
    korean_terms, english_terms, discount_type, value, cap, least = _TERMS[coupon_id % len(_TERMS)]
    return DemoCoupon(
        name=f"{korean} {coupon_id}회 {korean_terms} / {english} No. {coupon_id}, {english_terms}",
        discount_type=discount_type,
        discount_value=value,
        max_discount=cap,
        min_order_amount=least,
        total_quantity=quantity,
        starts_in_days=starts_in_days,
        ends_in_days=starts_in_days + _OPEN_DAYS,
        valid_for_days=starts_in_days + _OPEN_DAYS + _VALID_DAYS,
    )


def _mean(weights: dict[int, int]) -> float:
    return sum(value * weight for value, weight in weights.items()) / sum(weights.values())
