"""Refusals of coupon operations."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import Conflict, NotFound, Refused


class CouponNotFound(NotFound):
    """There is no such coupon."""

    code = "coupon_not_found"
    title = _("Coupon not found")

    def __init__(self, coupon_id: int) -> None:
        self.coupon_id = coupon_id

    @property
    def detail(self) -> str | Promise:
        return _("There is no coupon %(coupon_id)d.") % {"coupon_id": self.coupon_id}


class CouponSoldOut(Refused):
    """All units have been issued."""

    code = "coupon_sold_out"
    title = _("Coupon sold out")

    @property
    def detail(self) -> str | Promise:
        return _("All units of this coupon have been issued.")


class CouponAlreadyIssued(Refused):
    """The caller already has this coupon; there is one per customer."""

    code = "coupon_already_issued"
    title = _("Coupon already issued")

    @property
    def detail(self) -> str | Promise:
        return _("You have this coupon already; there is one per customer.")


class CouponNotOpen(Refused):
    """The issue of the coupon has not begun, or has ended."""

    code = "coupon_not_open"
    title = _("Coupon not open")

    @property
    def detail(self) -> str | Promise:
        return _("This coupon cannot be issued at this time.")


class CouponTermsFixed(Conflict):
    """The coupon has been issued, so its terms cannot be changed any more."""

    code = "coupon_terms_fixed"
    title = _("Coupon terms fixed")

    @property
    def detail(self) -> str | Promise:
        return _("This coupon has been issued. Only its name, its end dates and additional units can still be changed.")


class CouponNotRunning(Conflict):
    """The coupon is not being issued, so there is nothing to stop."""

    code = "coupon_not_running"
    title = _("Coupon not running")

    @property
    def detail(self) -> str | Promise:
        return _("The issue of this coupon has not begun or has ended. Nothing was changed.")


class Unusable(StrEnum):
    """Why a coupon cannot be used for an order."""

    NOT_OWNED = "not_owned"
    USED = "used"
    EXPIRED = "expired"
    BELOW_MINIMUM = "below_minimum"


class Misfit(TypedDict):
    reason: Annotated[Unusable, Meta(description="Why the coupon cannot be used.")]


class CouponNotUsable(Refused):
    """The coupon cannot be used for this order."""

    code = "coupon_not_usable"
    title = _("Coupon not usable")

    SENTENCES: Mapping[Unusable, Any] = {
        Unusable.NOT_OWNED: _("You have no such coupon."),
        Unusable.USED: _("This coupon has been used."),
        Unusable.EXPIRED: _("This coupon has expired."),
        Unusable.BELOW_MINIMUM: _("The order is below this coupon's minimum amount."),
    }

    def __init__(self, reason: Unusable) -> None:
        self.reason = reason

    @property
    def detail(self) -> str | Promise:
        sentence: str | Promise = self.SENTENCES[self.reason]
        return sentence

    @property
    def fields(self) -> Misfit:
        return {"reason": self.reason}
