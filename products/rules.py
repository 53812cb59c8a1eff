"""The rules of the stock and the limits of the catalogue.

Plain objects: no database, no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from products.errors import OutOfStock, ProductNotFound, Shortage, TooManyUnits

HIGHEST_PRICE_WON = 1_000_000_000_000
"""So that the largest order, a hundred products a thousand times each, still fits in a bigint."""
MOST_UNITS_AT_ONCE = 1_000_000
"""What one correction of a stock may add or take away; more is a slip of the finger."""
HIGHEST_PURCHASE_LIMIT = 1_000_000
"""What one customer may at most be allowed to buy of a product with a limit."""
MOST_UNITS = 1_000_000_000
"""What may be in stock of one product, so that no correction leaves the range of its column."""
VERY_HIGH_PRICE_WON = 10_000_000
"""A price above it is asked about: it is as much as a customer can charge at once."""
LOW_STOCK_UNITS = 10
"""From here down, and above zero, a product is soon out of stock."""
IMPORT_KEPT_HOURS = 24
"""How long a file waits between its preview and its import."""


class UnusualPrice(StrEnum):
    """What is hardly ever meant when a price is set."""

    FREE = "free"
    HIGH = "high"
    JUMP = "jump"


def unusual_prices(price: int, *, is_active: bool, price_before: int | None, was_active: bool) -> list[UnusualPrice]:
    """What is unusual about a price in won that is new or has changed; nothing about one that stays as it is.

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
    """`out`, `low` or `ok`, by the units that can be had."""
    if available <= 0:
        return "out"
    return "low" if available <= LOW_STOCK_UNITS else "ok"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a product is sold for, in won, and whether it is."""

    price: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class OfferChange:
    """Another offer for a product, decided on what it was then."""

    product_id: int
    seen: Offer
    offer: Offer


def changed_by_percent(price: int, percent: int) -> int:
    """A price in won raised by so many percent, or lowered where negative; half a won is rounded up."""
    return (price * (100 + percent) + 50) // 100


@dataclass(slots=True)
class StockedProduct:
    """A product and its units: `stock` of them are there, of which `held` are held for carts. `price` is won."""

    id: int
    name: str
    price: int
    stock: int
    is_active: bool
    purchase_limit: int | None = None
    """Units that one customer may buy in all; None: as many as there are."""
    held: int = 0
    moved: int = 0
    """By how many units the stock has changed since it was read."""
    newly_held: int = 0
    """By how many units `held` has changed since it was read."""

    def take(self, quantity: int) -> None:
        """Take units away that are not held. Raises OutOfStock."""
        if self.stock - self.held < quantity:
            raise OutOfStock([Shortage(self.id, quantity, self.stock - self.held, self.held)])
        self._move(-quantity)

    def hold(self, quantity: int) -> None:
        """Keep units back for a cart; they stay in stock. Raises OutOfStock."""
        if self.stock - self.held < quantity:
            raise OutOfStock([Shortage(self.id, quantity, self.stock - self.held, self.held)])
        self._hold(quantity)

    def release(self, quantity: int) -> None:
        """Let held units be had by everybody again."""
        self._hold(-quantity)

    def take_held(self, quantity: int) -> None:
        """Take away units that were held."""
        self._hold(-quantity)
        self._move(-quantity)

    def put_back(self, quantity: int) -> None:
        """Add units that came back."""
        self._move(quantity)

    def adjust(self, delta: int) -> None:
        """Correct the stock by `delta` units. Held units cannot be taken away. Raises OutOfStock, TooManyUnits."""
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
