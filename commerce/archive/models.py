"""The archive's files, and the checkpoints of accounts and products up to which rows were archived."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact


class ArchivedPage(models.Model):
    """A file with archived rows, written before they were deleted.

    A file in the folder that no row names is from a killed run: its rows are still in the database.
    """

    id = models.BigIntegerField(primary_key=True)
    """Numbered without gaps, under a lock."""
    table_name = models.CharField(max_length=63)
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    row_count = models.PositiveIntegerField()
    file_name = models.CharField(max_length=120, unique=True)
    sha256 = models.BinaryField()
    """The hash of the compressed file."""
    archived_at = models.DateTimeField()

    class Meta:
        db_table = "archived_page"
        # Staff neither read nor write it, so it has no permissions. The same applies to the models below.
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Exact(Length("sha256"), 32), name="archived_page_sha256")]

    def __str__(self) -> str:
        return self.file_name


class LedgerCheckpoint(models.Model):
    """The last archived entry of an account: the remaining ledger continues from its balance and hash.

    A trigger lets it move forward only, and only to an existing entry. Another trigger lets an entry be deleted only
    once the checkpoint of its account has reached it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="+")
    entry_id = models.BigIntegerField()
    balance = models.BigIntegerField()
    """The balance after that entry, in won."""
    entry_hash = models.BinaryField()
    covers_until = models.DateTimeField()
    """The time of the latest archived entry."""

    class Meta:
        db_table = "ledger_checkpoint"
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(balance__gte=0), name="ledger_checkpoint_balance_not_negative"),
            models.CheckConstraint(condition=Exact(Length("entry_hash"), 32), name="ledger_checkpoint_hash_is_sha256"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.entry_id}"


class StockCheckpoint(models.Model):
    """The last archived movement of a product, and the sum of all archived ones.

    A trigger lets it move forward only, by exactly the sum of the movements in between, which can then be deleted.
    """

    product = models.OneToOneField("products.Product", models.PROTECT, primary_key=True, related_name="+")
    movement_id = models.BigIntegerField()
    stock = models.BigIntegerField()
    """Units."""
    covers_until = models.DateTimeField()
    """The time of the latest archived movement."""

    class Meta:
        db_table = "stock_checkpoint"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.product_id}: {self.movement_id}"
