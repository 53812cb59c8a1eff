"""Accounts, and the ledger with an entry for each change of a balance."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Length, Upper
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from balances import rules
from balances.rules import START_OF_CHAIN, entry_hash
from commerce.core.text import normal

ONE_PAYMENT_PER_ORDER = "user_balance_tx_one_payment_per_order"
EACH_REFUND_ONCE = "user_balance_tx_each_refund_once"


class WithoutSpaces(Func):
    """SQL expression: text columns concatenated, with spaces removed."""

    # The spaces are in the template, not in a parameter: PostgreSQL uses an index only for the same expression.
    template = "replace(%(expressions)s, ' ', '')"
    arg_joiner = " || "
    output_field = models.TextField()


LAST_NAME_FIRST = WithoutSpaces("last_name", "first_name")
FIRST_NAME_FIRST = WithoutSpaces("first_name", "last_name")
"""Both orders of a real name, so that a prefix search finds either part of it."""


class User(AbstractUser):
    """A customer or a member of staff, with a wallet.

    `balance` and `ledger_head` change only together with a ledger row (`balances.operations`), never by a form or a
    save().
    """

    balance = models.BigIntegerField(_("balance (won)"), default=0, editable=False)
    # The hash of the account's newest ledger entry, so that a deleted or rewritten last entry is detected.
    ledger_head = models.BinaryField(default=START_OF_CHAIN, db_default=Value(START_OF_CHAIN))

    class Meta(AbstractUser.Meta):
        db_table = "user"
        constraints = [
            models.CheckConstraint(condition=Q(balance__gte=0), name="user_balance_not_negative"),
            models.CheckConstraint(condition=Exact(Length("ledger_head"), 32), name="user_ledger_head_is_sha256"),
        ]
        # For staff who search by address, user name or real name, in any case. Written with a new account or name,
        # never with a balance.
        indexes = [
            models.Index(Upper("email"), name="user_email"),
            models.Index(OpClass(Upper("username"), "text_pattern_ops"), name="user_username_begins"),
            models.Index(OpClass(Upper(LAST_NAME_FIRST), "text_pattern_ops"), name="user_last_name_begins"),
            models.Index(OpClass(Upper(FIRST_NAME_FIRST), "text_pattern_ops"), name="user_first_name_begins"),
        ]
        permissions = [
            ("adjust_balance", gettext_noop("Can credit and debit a balance")),
            ("export_user", gettext_noop("Can export accounts")),
        ]

    def set_password(self, raw_password: str | None) -> None:
        """Hash the NFC-normalized password, so that composed and decomposed Hangul are the same password."""
        super().set_password(None if raw_password is None else normal(raw_password))

    def save(self, **kwargs: Any) -> None:
        """Save an existing account without its wallet.

        Django's own forms and commands (profile, password) read the whole row and save it later. By then the balance
        may be stale, and writing it back would undo charges and payments made in the meantime.
        """
        if not self._state.adding and kwargs.get("update_fields") is None:
            kept_back = {"id", "balance", "ledger_head", *self.get_deferred_fields()}
            kwargs["update_fields"] = {field.attname for field in self._meta.concrete_fields} - kept_back
        super().save(**kwargs)


class EntryType(models.TextChoices):
    """Why a balance moved. Payments are negative, charges and refunds positive, adjustments either."""

    CHARGE = rules.CHARGE, _("Charge")
    PAYMENT = rules.PAYMENT, _("Payment")
    REFUND = rules.REFUND, _("Refund")
    ADJUSTMENT = rules.ADJUSTMENT, _("Adjustment")


class LedgerEntry(models.Model):
    """One movement of one balance. Written once: the database refuses UPDATE and DELETE (a trigger)."""

    user = models.ForeignKey(User, models.PROTECT, related_name="ledger", verbose_name=_("user"), db_index=False)
    type = models.CharField(_("type"), max_length=10, choices=EntryType.choices)
    amount = models.BigIntegerField(_("amount (won)"))
    balance_after = models.BigIntegerField(_("balance after (won)"))
    # Orders stand above balances, so this is the order's number, not a foreign key.
    order_id = models.BigIntegerField(_("order"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    # The refund that this entry belongs to; None for a cancelled order.
    refund_id = models.BigIntegerField(_("refund"), null=True, blank=True)
    # Chained to the owner's previous entry, so that a change that bypassed the trigger is detected.
    entry_hash = models.BinaryField()

    class Meta:
        db_table = "user_balance_tx"
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(balance_after__gte=0), name="user_balance_tx_balance_not_negative"),
            models.CheckConstraint(condition=Exact(Length("entry_hash"), 32), name="user_balance_tx_hash_is_sha256"),
            models.CheckConstraint(
                condition=Q(type__in=["CHARGE", "REFUND"], amount__gte=0)
                | Q(type="PAYMENT", amount__lte=0)
                | Q(type="ADJUSTMENT"),
                name="user_balance_tx_sign_fits_type",
            ),
            models.CheckConstraint(
                condition=Q(type__in=["PAYMENT", "REFUND"], order_id__isnull=False)
                | Q(type__in=["CHARGE", "ADJUSTMENT"], order_id__isnull=True),
                name="user_balance_tx_order_fits_type",
            ),
            models.UniqueConstraint(fields=["order_id"], condition=Q(type="PAYMENT"), name=ONE_PAYMENT_PER_ORDER),
            models.UniqueConstraint(
                fields=["order_id", "refund_id"],
                condition=Q(type="REFUND"),
                nulls_distinct=False,
                name=EACH_REFUND_ONCE,
            ),
            models.CheckConstraint(
                condition=Q(refund_id__isnull=True) | Q(type="REFUND"), name="user_balance_tx_refund_fits_type"
            ),
            models.CheckConstraint(
                condition=~Q(type="ADJUSTMENT", amount=0), name="user_balance_tx_adjustment_not_zero"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="user_balance_tx_history"),
            models.Index(fields=["user", "created_at"], name="user_balance_tx_days"),
            # For staff who list one day of all accounts. New entries are appended at the index's end, which is cheap.
            models.Index(fields=["created_at"], name="user_balance_tx_time"),
            # Partial: adjustments are rare, and other entries do not update it.
            models.Index(fields=["created_at"], condition=Q(type="ADJUSTMENT"), name="user_balance_tx_adjustments"),
        ]
        permissions = [("export_ledgerentry", gettext_noop("Can export the ledger"))]

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.amount:+,}"

    def hash_after(self, previous: bytes | memoryview) -> bytes:
        """The expected `entry_hash` when the owner's previous entry has the hash `previous`."""
        return entry_hash(
            bytes(previous),
            entry_id=self.pk,
            user_id=self.user_id,
            entry_type=str(self.type),
            amount=self.amount,
            balance_after=self.balance_after,
            order_id=self.order_id,
            created_at=self.created_at,
        )
