"""One spelling for text that reads the same.

Owns the Unicode normal form in which text is stored and searched (NFC); never decides which text is allowed.
"""

from unicodedata import is_normalized, normalize


def is_normal(text: str) -> bool:
    """Whether `text` is in the normal form already."""
    return is_normalized("NFC", text)


def normal(text: str) -> str:
    """`text` in the normal form: Hangul and accents composed, as most keyboards send them.

    Two texts that read the same may differ in their code points; macOS, for example, decomposes the names of files.
    """
    return normalize("NFC", text)


def decomposed(text: str) -> str:
    """`text` with Hangul and accents decomposed (NFD), for what was stored before it was normalized."""
    return normalize("NFD", text)
