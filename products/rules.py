"""The limits of the catalogue; no database, no clock."""

HIGHEST_PRICE_WON = 1_000_000_000_000
"""So that the largest order, a hundred products a thousand times each, still fits in a bigint."""
