"""Parses whole numbers in user input.

`int()` alone is not enough: it raises for more than 4,300 digits, and accepts ` 1_0 ` and `٣`.
"""

LARGEST_ID = 2**63 - 1
"""The largest value of a bigint column."""


def whole_number(text: str, *, most: int = LARGEST_ID) -> int | None:
    """The number from 0 to `most` that the text contains in ASCII digits; None for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if number <= most else None
