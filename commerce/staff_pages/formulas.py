"""Text in a CSV file that a spreadsheet must not take for a formula.

Owns the mark for it, an apostrophe in front, which an import takes away again: `restored(harmless(text)) == text`.
"""

import re

# What spreadsheet programs take for the beginning of a formula (OWASP, "CSV Injection"), also behind spaces and in
# the fullwidth forms of Korean and Japanese keyboards. A text that has apostrophes in front of it already gets one
# more, so that it does not lose its own when the file is read back.
_DANGEROUS = re.compile(r"[\s']*[=+\-@＝＋－＠]|'*[\t\r]")


def harmless(text: str) -> str:
    """`text` as it is written into a CSV file."""
    return f"'{text}" if _DANGEROUS.match(text) else text


def restored(text: str) -> str:
    """The text that `harmless` has written as `text`."""
    return text[1:] if text.startswith("'") and _DANGEROUS.match(text, 1) else text
