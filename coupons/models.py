"""Coupons with a limited quantity, and the coupons that customers hold."""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from commerce.core.days import stored, validate_moment
from coupons import rules

ONE_PER_USER = "user_coupon_one_per_user"

TERMS = (
    "name",
    "discount_type",
    "discount_value",
    "max_discount",
    "min_order_amount",
    "total_quantity",
    "issue_starts_at",
    "issue_ends_at",
    "valid_until",
)
"""The fields of a coupon that staff edit: in its form and in audit records."""


class DiscountType(models.TextChoices):
    """FIXED subtracts `discount_value` won; PERCENT that percentage of the total, up to `max_discount` won."""

    FIXED = rules.FIXED, _("Fixed amount")
    PERCENT = rules.PERCENT, _("Percent")


class Coupon(models.Model):
    """A discount for the first `total_quantity` customers within its issue window, one each.

    `issued_count` changes only together with a `UserCoupon` row (`coupons.operations`).
    """

    name = models.CharField(_("name"), max_length=200)
    discount_type = models.CharField(_("discount type"), max_length=7, choices=DiscountType.choices)
    discount_value = models.BigIntegerField(_("discount value"), help_text=_("Won for FIXED, percent for PERCENT."))
    max_discount = models.BigIntegerField(_("most it takes off (won)"), null=True, blank=True)
    min_order_amount = models.BigIntegerField(_("least order amount (won)"), default=0)
    total_quantity = models.IntegerField(_("units"))
    issued_count = models.IntegerField(_("issued"), default=0, editable=False)
    issue_starts_at = models.DateTimeField(_("issue starts at"), validators=[validate_moment])
    issue_ends_at = models.DateTimeField(_("issue ends at"), validators=[validate_moment])
    valid_until = models.DateTimeField(
        _("valid until"),
        help_text=_(
            "Until then an issued one can be used. A later end reaches those who hold one, an earlier one does not."
        ),
        validators=[validate_moment],
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "coupon"
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(issued_count__gte=0) & Q(issued_count__lte=F("total_quantity")),
                name="coupon_issued_within_total",
            ),
            models.CheckConstraint(
                condition=Q(discount_type="FIXED", discount_value__gte=1)
                | Q(discount_type="PERCENT", discount_value__gte=1, discount_value__lte=100),
                name="coupon_discount_in_range",
            ),
            models.CheckConstraint(
                condition=Q(max_discount__isnull=True) | Q(max_discount__gte=1), name="coupon_cap_positive"
            ),
            models.CheckConstraint(
                condition=Q(max_discount__isnull=True) | Q(discount_type="PERCENT"), name="coupon_cap_is_of_percent"
            ),
            models.CheckConstraint(condition=Q(min_order_amount__gte=0), name="coupon_minimum_not_negative"),
            models.CheckConstraint(
                condition=Q(issue_starts_at__lt=F("issue_ends_at")) & Q(issue_ends_at__lte=F("valid_until")),
                name="coupon_window_in_order",
            ),
            models.CheckConstraint(condition=stored("issue_starts_at", "valid_until"), name="coupon_times_in_range"),
        ]
        indexes = [models.Index(fields=["issue_ends_at", "issue_starts_at"], name="coupon_window")]
        permissions = [("export_coupon", gettext_noop("Can export coupons"))]

    def __str__(self) -> str:
        return self.name


class CouponState(models.TextChoices):
    """Whether a coupon can be issued. Not stored: computed from window, counts and clock (`selectors`)."""

    SCHEDULED = "SCHEDULED", _("Scheduled")
    OPEN = "OPEN", _("Open")
    SOLD_OUT = "SOLD_OUT", _("Sold out")
    ENDED = "ENDED", _("Ended")


class UserCouponStatus(models.TextChoices):
    """The stored status. Expiry is not stored: it follows from `expires_at`."""

    AVAILABLE = rules.AVAILABLE, _("Available")
    USED = rules.USED, _("Used")


class UserCoupon(models.Model):
    """A coupon held by a customer. USED exactly while a live order uses it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="coupons",
        verbose_name=_("user"),
        db_index=False,
    )
    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="issued", verbose_name=_("coupon"), db_index=False)
    status = models.CharField(
        _("status"), max_length=9, choices=UserCouponStatus.choices, default=UserCouponStatus.AVAILABLE
    )
    issued_at = models.DateTimeField(_("issued at"))
    expires_at = models.DateTimeField(_("expires at"))
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)

    class Meta:
        db_table = "user_coupon"
        verbose_name = _("user coupon")
        verbose_name_plural = _("user coupons")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["coupon", "user"], name=ONE_PER_USER),
            models.CheckConstraint(
                condition=Q(status="USED", used_at__isnull=False) | Q(status="AVAILABLE", used_at__isnull=True),
                name="user_coupon_used_at_fits_status",
            ),
            models.CheckConstraint(condition=stored("expires_at", "expires_at"), name="user_coupon_expiry_in_range"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="user_coupon_wallet"),
            # BRIN, for staff who filter by day: a few kilobytes for a million rows and almost free to maintain, because
            # rows are stored roughly in the order of issue. Using a coupon does not update it.
            BrinIndex(fields=["issued_at"], name="user_coupon_issued", autosummarize=True),
            # BRIN, for coupons that expire soon: it skips the parts of the table where all have expired.
            BrinIndex(fields=["expires_at"], name="user_coupon_expires", autosummarize=True),
        ]
        permissions = [("export_usercoupon", gettext_noop("Can export who holds coupons"))]

    def __str__(self) -> str:
        return f"{self.coupon_id} → {self.user_id}"


class ExpiryNotice(models.Model):
    """The holder of a coupon was notified of its expiry. The primary key allows one notice per coupon."""

    user_coupon = models.OneToOneField(UserCoupon, models.PROTECT, primary_key=True, related_name="expiry_notice")
    noticed_at = models.DateTimeField()

    class Meta:
        db_table = "coupon_expiry_notice"
        # Staff neither read nor write it, so it has no permissions.
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user_coupon_id)
