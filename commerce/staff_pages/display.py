"""Formatting of amounts, numbers and labels in the back-office."""

from django.template.loader import render_to_string
from django.utils.functional import Promise


def won(amount: int | None) -> str:
    """₩12,300; empty for None."""
    if amount is None:
        return ""
    return f"{'-' if amount < 0 else ''}₩{abs(amount):,}"


def won_moved(amount: int) -> str:
    """+₩12,300 or -₩12,300."""
    return f"{'-' if amount < 0 else '+'}₩{abs(amount):,}"


def thousands(number: float) -> str:
    """12,300."""
    return f"{number:,}"


def label(text: str | Promise, colour: str) -> str:
    """A coloured label, for lists and pages. `colour`: info, success, warning, danger, or "" for none."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})
