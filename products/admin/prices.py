"""Confirmation of unusual prices (`products.rules.unusual_prices`), for the form, bulk editing and imports."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from commerce.staff_pages.display import won
from commerce.staff_pages.forms import ReasonForm
from products.rules import UnusualPrice, unusual_prices


class UnusualPricesForm(ReasonForm):
    """The reason for a bulk change, and the confirmation of unusual prices if there are any."""

    confirmed = forms.BooleanField(label=gettext_lazy("confirm the unusual prices"))

    def __init__(self, *args: Any, unusual: int, **kwargs: Any) -> None:
        """`unusual`: number of rows with an unusual price."""
        super().__init__(*args, **kwargs)
        if unusual:
            sentence = ngettext("%(count)d row has an unusual price.", "%(count)d rows have unusual prices.", unusual)
            self.fields["confirmed"].help_text = sentence % {"count": unusual}
        else:
            del self.fields["confirmed"]


def price_questions(
    price: int, *, is_active: bool, price_before: int | None = None, was_active: bool = False
) -> list[str]:
    """A question for each way in which a price in won is unusual; `price_before` is None for a new product."""
    found = unusual_prices(price, is_active=is_active, price_before=price_before, was_active=was_active)
    return [_sentence(reason, price, price_before or 0) for reason in found]


def _sentence(reason: UnusualPrice, price: int, price_before: int) -> str:
    if reason == UnusualPrice.FREE:
        return _("It is for sale for ₩0.")
    if reason == UnusualPrice.HIGH:
        return _("The price is very high: %(price)s.") % {"price": won(price)}
    values = {"before": won(price_before), "price": won(price)}
    return _("The price changes by more than half: from %(before)s to %(price)s.") % values
