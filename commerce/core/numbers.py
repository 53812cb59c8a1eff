"""Whole numbers that people type.

Owns the one way from text to a number. `int()` alone raises for more than 4,300 digits, and reads ` 1_0 ` and `٣`.
"""

LARGEST_ID = 2**63 - 1
"""What fits a bigint column."""


def whole_number(text: str, *, most: int = LARGEST_ID) -> int | None:
    """The number from 0 to `most` that the text says in ASCII digits alone; None for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if number <= most else None
