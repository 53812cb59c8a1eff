"""The forms of a coupon. The services and the database enforce the same rules; the forms explain them."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from commerce.core.days import validate_moment
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.forms import ConfirmedForm, OpenedForm, ReasonForm
from coupons.models import TERMS, Coupon, DiscountType

TIMES = {"issue_starts_at", "issue_ends_at", "valid_until"}
MOST_WON = 2**53
MOST_UNITS = 10_000_000


class CouponForm(ConfirmedForm, OpenedForm):
    """A coupon's terms."""

    watched = TERMS

    discount_value = forms.IntegerField(
        label=_("discount value"),
        min_value=1,
        max_value=MOST_WON,
        help_text=_("Won for a fixed amount, 1 to 100 for a percentage."),
    )
    max_discount = forms.IntegerField(
        label=_("most it takes off (won)"),
        min_value=1,
        max_value=MOST_WON,
        required=False,
        help_text=_("For a percentage; empty for no limit."),
    )
    min_order_amount = forms.IntegerField(
        label=_("least order amount (won)"), min_value=0, max_value=MOST_WON, initial=0
    )
    total_quantity = forms.IntegerField(label=_("units"), min_value=1, max_value=MOST_UNITS)

    class Meta:
        model = Coupon
        fields = TERMS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The model validates it too, but only after the times were compared with each other.
        for name in TIMES & self.fields.keys():
            self.fields[name].validators.append(validate_moment)

    def clean(self) -> dict[str, Any]:
        stored = {name: getattr(self.instance, name) for name in self.watched}
        values = {**stored, **self.cleaned_data}
        self._check_discount(values)
        self._check_times(values)
        if self.instance.issued_count and values["total_quantity"] < stored["total_quantity"]:
            self._refuse("total_quantity", _("Units can only be added once the coupon has been issued."))
        return self.cleaned_data

    def _check_discount(self, values: dict[str, Any]) -> None:
        if values["discount_type"] == DiscountType.PERCENT and (values["discount_value"] or 0) > 100:
            self._refuse("discount_value", _("A percentage is 1 to 100."))
        if values["discount_type"] == DiscountType.FIXED and values["max_discount"] is not None:
            self._refuse("max_discount", _("Only a percentage has a limit; a fixed amount is its own."))

    def _check_times(self, values: dict[str, Any]) -> None:
        starts, ends, valid = values["issue_starts_at"], values["issue_ends_at"], values["valid_until"]
        if starts and ends and starts >= ends:
            self._refuse("issue_ends_at", _("The issue ends before it starts."))
        if ends and valid and ends > valid:
            self._refuse("valid_until", _("A coupon issued at the end of the issue could never be used."))

    def questions(self) -> list[str]:
        """Ask for confirmation of a window that is over, when a time is changed."""
        values = {name: getattr(self.instance, name) for name in TIMES}
        now = timezone.now()
        if not TIMES & set(self.changed_data) or values["issue_ends_at"] > now:
            return []
        if values["valid_until"] > now:
            return [gettext("The issue of this coupon is over already: nobody can get it.")]
        return [gettext("The times of this coupon are over already: nobody can get it or use it.")]

    def _refuse(self, field: str, why: Any) -> None:
        if field in self.fields and field in self.cleaned_data:
            self.add_error(field, why)


class NewCouponForm(CouponForm, IdempotentForm):
    """The form of a new coupon; a double click creates one coupon."""


def copied(coupon: Coupon, now: datetime) -> dict[str, Any]:
    """Initial values of a new coupon: the terms of another one.

    If the issue has begun by `now`, all three times move by the same number of whole days, so that the issue keeps its
    time of day and length and begins in the future.
    """
    terms = {name: getattr(coupon, name) for name in TERMS}
    days = max(0, -((coupon.issue_starts_at - now) // timedelta(days=1)))
    try:
        terms |= {name: terms[name] + timedelta(days=days) for name in TIMES}
    except OverflowError:
        # A time beyond datetime.max was read as datetime.max.
        terms |= dict.fromkeys(TIMES)
    return {**terms, "name": gettext("%(name)s (copy)") % {"name": coupon.name}}


class StopForm(IdempotentForm, ReasonForm):
    """The reason for ending the issue."""
