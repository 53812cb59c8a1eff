"""How the back-office writes what the shop counts in, and shows how things stand."""

from django.template.loader import render_to_string
from django.utils.functional import Promise


def won(amount: int | None) -> str:
    """₩12,300; nothing where there is no amount."""
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
    """A word in a coloured box, for lists and pages alike. `colour`: info, success, warning, danger; "" for none."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})
