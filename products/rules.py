"""The limits of the catalogue; no database, no clock."""

HIGHEST_PRICE_WON = 1_000_000_000_000
"""So that the largest order, a hundred products a thousand times each, still fits in a bigint."""
MOST_UNITS_AT_ONCE = 1_000_000
"""What one correction of a stock may add or take away; more is a slip of the finger."""
MOST_UNITS = 1_000_000_000
"""What may be in stock of one product, so that no correction leaves the range of its column."""
LOW_STOCK_UNITS = 10
"""From here down, and above zero, a product is soon out of stock."""
IMPORT_KEPT_HOURS = 24
"""How long a file waits between its preview and its import."""


def stock_level(stock: int) -> str:
    """`out`, `low` or `ok`."""
    if stock <= 0:
        return "out"
    return "low" if stock <= LOW_STOCK_UNITS else "ok"
