"""The questions about prices that are hardly ever meant, for the form of a product and the preview of a file.

Owns the sentences; which prices are unusual is in `products.rules`.
"""

from django.utils.translation import gettext as _

from commerce.staff_pages.display import won
from products.rules import UnusualPrice, unusual_prices


def price_questions(
    price: int, *, is_active: bool, price_before: int | None = None, was_active: bool = False
) -> list[str]:
    """A sentence for each thing that is unusual about a price in won; `price_before` is None for a new product."""
    found = unusual_prices(price, is_active=is_active, price_before=price_before, was_active=was_active)
    return [_sentence(reason, price, price_before or 0) for reason in found]


def _sentence(reason: UnusualPrice, price: int, price_before: int) -> str:
    if reason == UnusualPrice.FREE:
        return _("It is for sale for ₩0.")
    if reason == UnusualPrice.HIGH:
        return _("The price is very high: %(price)s.") % {"price": won(price)}
    values = {"before": won(price_before), "price": won(price)}
    return _("The price changes by more than half: from %(before)s to %(price)s.") % values
