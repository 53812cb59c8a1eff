"""The limits of a wallet."""

SMALLEST_CHARGE_WON = 1
LARGEST_CHARGE_WON = 10_000_000
