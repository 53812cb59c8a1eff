"""Unicode normalization: text is stored and searched in NFC. Does not validate text."""

from unicodedata import is_normalized, normalize


def is_normal(text: str) -> bool:
    """Whether `text` is in the normal form."""
    return is_normalized("NFC", text)


def normal(text: str) -> str:
    """`text` in the normal form: Hangul and accents composed, as most keyboards send them.

    Equal text may have different code points. macOS, for example, decomposes file names.
    """
    return normalize("NFC", text)


def decomposed(text: str) -> str:
    """`text` with Hangul and accents decomposed (NFD), for rows that were stored before text was normalized."""
    return normalize("NFD", text)
