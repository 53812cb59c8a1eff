"""Environment variables of `make run`, before Django reads its settings."""

import os

from commerce.embedded.errors import BadSetting


def given(variable: str) -> str:
    """The value of an environment variable; an empty one counts as not set."""
    return os.environ.get(variable, "").strip()


def number(variable: str, default: int, *, least: int, most: int) -> int:
    """An integer from the environment.

    Raises:
        BadSetting: it is not a number, or out of bounds.
    """
    text = given(variable) or str(default)
    # The length is checked first, because `int()` raises for thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise BadSetting(variable, f"must be a number from {least} to {most}, not {text!r}")
    return int(text)
