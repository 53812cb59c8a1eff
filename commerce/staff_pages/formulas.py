"""Protection against formulas in CSV files: a leading apostrophe, which imports remove again.

`restored(harmless(text)) == text` for every text.
"""

import re

# What spreadsheet programs interpret as the start of a formula (OWASP, "CSV Injection"), also after spaces and in the
# fullwidth forms of Korean and Japanese keyboards. A text with leading apostrophes gets one more, so that it keeps its
# own when the file is imported.
_DANGEROUS = re.compile(r"[\s']*[=+\-@＝＋－＠]|'*[\t\r]")


def harmless(text: str) -> str:
    """`text` as written into a CSV file."""
    return f"'{text}" if _DANGEROUS.match(text) else text


def restored(text: str) -> str:
    """The inverse of `harmless`."""
    return text[1:] if text.startswith("'") and _DANGEROUS.match(text, 1) else text
