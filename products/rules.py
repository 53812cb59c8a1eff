"""The rules of stock and the limits of the catalogue.

Plain objects: no database, no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from products.errors import OutOfStock, ProductNotFound, Shortage, TooManyUnits

MOST_CHARACTERS_OF_A_NAME = 200
HIGHEST_PRICE_WON = 1_000_000_000_000
"""The largest order, 100 products with a quantity of 1,000 each, must fit in a bigint."""
MOST_UNITS_AT_ONCE = 1_000_000
"""The largest single adjustment of a stock; more is most likely a typing error."""
HIGHEST_PURCHASE_LIMIT = 1_000_000
"""The largest purchase limit per customer, in units."""
MOST_UNITS = 1_000_000_000
"""The largest stock of one product, so that no adjustment overflows the column."""
VERY_HIGH_PRICE_WON = 10_000_000
"""A price above it needs a confirmation: it is the most that a customer can charge at once."""
LOW_STOCK_UNITS = 10
"""A stock from 1 to this many units is low."""
IMPORT_KEPT_HOURS = 24
"""How long an uploaded file is kept for its import."""


class UnusualPrice(StrEnum):
    """Why a price is likely a mistake."""

    FREE = "free"
    HIGH = "high"
    JUMP = "jump"


def unusual_prices(price: int, *, is_active: bool, price_before: int | None, was_active: bool) -> list[UnusualPrice]:
    """What is unusual about a new or changed price in won; empty for an unchanged price.

    `price_before`: None for a new product. FREE: for sale for nothing. HIGH: above VERY_HIGH_PRICE_WON. JUMP: it
    changes by more than half of what it was.
    """
    found = []
    is_new = price != price_before
    if price == 0 and is_active and (is_new or not was_active):
        found.append(UnusualPrice.FREE)
    if price > VERY_HIGH_PRICE_WON and is_new:
        found.append(UnusualPrice.HIGH)
    if price_before is not None and 2 * abs(price - price_before) > price_before:
        found.append(UnusualPrice.JUMP)
    return found


def stock_level(available: int) -> str:
    """`out`, `low` or `ok`, for this many available units."""
    if available <= 0:
        return "out"
    return "low" if available <= LOW_STOCK_UNITS else "ok"


@dataclass(frozen=True, slots=True)
class Offer:
    """A product's price in won, and whether it is for sale."""

    price: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class OfferChange:
    """A new offer for a product, and the offer that the decision was based on."""

    product_id: int
    seen: Offer
    offer: Offer


def changed_by_percent(price: int, percent: int) -> int:
    """A price in won changed by a positive or negative percentage; half a won is rounded up."""
    return (price * (100 + percent) + 50) // 100


@dataclass(slots=True)
class StockedProduct:
    """A product and its units: `stock` units, of which `held` are held for carts. `price` is won."""

    id: int
    name: str
    price: int
    stock: int
    is_active: bool
    purchase_limit: int | None = None
    """Units that one customer may buy in total; None: no limit."""
    held: int = 0
    moved: int = 0
    """Units by which the stock has changed since it was read."""
    newly_held: int = 0
    """Units by which `held` has changed since it was read."""

    def take(self, quantity: int) -> None:
        """Remove available units from stock. Raises OutOfStock."""
        if self.stock - self.held < quantity:
            raise OutOfStock([Shortage(self.id, quantity, self.stock - self.held, self.held)])
        self._move(-quantity)

    def hold(self, quantity: int) -> None:
        """Hold available units for a cart; they stay in stock. Raises OutOfStock."""
        if self.stock - self.held < quantity:
            raise OutOfStock([Shortage(self.id, quantity, self.stock - self.held, self.held)])
        self._hold(quantity)

    def release(self, quantity: int) -> None:
        """Make held units available again."""
        self._hold(-quantity)

    def take_held(self, quantity: int) -> None:
        """Remove held units from stock."""
        self._hold(-quantity)
        self._move(-quantity)

    def put_back(self, quantity: int) -> None:
        """Add returned units to stock."""
        self._move(quantity)

    def adjust(self, delta: int) -> None:
        """Correct the stock by `delta` units. Held units cannot be removed. Raises OutOfStock, TooManyUnits."""
        if delta < 0:
            self.take(-delta)
        elif self.stock + delta > MOST_UNITS:
            raise TooManyUnits(self.stock, MOST_UNITS)
        else:
            self._move(delta)

    def _move(self, units: int) -> None:
        self.stock += units
        self.moved += units

    def _hold(self, units: int) -> None:
        self.held += units
        self.newly_held += units


def take_all(products: Mapping[int, StockedProduct | None], quantities: Mapping[int, int]) -> None:
    """Take units of several products (quantity by product id), all or none.

    Raises ProductNotFound for a product that is not for sale, OutOfStock with every product that has too few.
    """
    for product_id, product in _enough_of_all(products, quantities).items():
        product.take(quantities[product_id])


def hold_all(products: Mapping[int, StockedProduct | None], quantities: Mapping[int, int]) -> None:
    """Hold units of several products, all or none. Raises what `take_all` raises."""
    for product_id, product in _enough_of_all(products, quantities).items():
        product.hold(quantities[product_id])


def take_all_held(products: Mapping[int, StockedProduct | None], quantities: Mapping[int, int]) -> None:
    """Take the units that are held of several products. Raises ProductNotFound for one that is not for sale."""
    for product_id, product in _for_sale(products, quantities).items():
        product.take_held(quantities[product_id])


def _enough_of_all(
    products: Mapping[int, StockedProduct | None], quantities: Mapping[int, int]
) -> dict[int, StockedProduct]:
    wanted = _for_sale(products, quantities)
    shortages = [
        Shortage(product_id, quantities[product_id], product.stock - product.held, product.held)
        for product_id, product in sorted(wanted.items())
        if product.stock - product.held < quantities[product_id]
    ]
    if shortages:
        raise OutOfStock(shortages)
    return wanted


def _for_sale(products: Mapping[int, StockedProduct | None], product_ids: Iterable[int]) -> dict[int, StockedProduct]:
    wanted: dict[int, StockedProduct] = {}
    for product_id in product_ids:
        product = products[product_id]
        if product is None or not product.is_active:
            raise ProductNotFound(product_id)
        wanted[product_id] = product
    return wanted
