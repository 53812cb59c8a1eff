"""What is known of rows that have left: the files they are in, and where each account and each product stood then."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact


class ArchivedPage(models.Model):
    """A file with rows that have left, written before they did.

    A file of the folder that no row names is of a run that was killed: its rows are still in the database.
    """

    id = models.BigIntegerField(primary_key=True)
    """Counted without gaps, by a run that has its turn."""
    table_name = models.CharField(max_length=63)
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    row_count = models.PositiveIntegerField()
    file_name = models.CharField(max_length=120, unique=True)
    sha256 = models.BinaryField()
    """Of the file as it is."""
    archived_at = models.DateTimeField()

    class Meta:
        db_table = "archived_page"
        # Nobody of the staff reads or writes it, so that there is nothing to give a role. The same goes for the others.
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Exact(Length("sha256"), 32), name="archived_page_sha256")]

    def __str__(self) -> str:
        return self.file_name


class LedgerCheckpoint(models.Model):
    """The last entry of an account that has left: the ledger that is kept goes on from its balance and its hash.

    Moves forward only, and only to an entry that is still there (a trigger). An entry can be deleted once the
    checkpoint of its account has reached it, and not before (another).
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="+")
    entry_id = models.BigIntegerField()
    balance = models.BigIntegerField()
    """After that entry, in won."""
    entry_hash = models.BinaryField()
    covers_until = models.DateTimeField()
    """When the youngest of the entries that have left was written."""

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
    """The last movement of a product that has left, and what all that have left add up to.

    Moves forward only, by exactly the movements in between (a trigger), which can then be deleted.
    """

    product = models.OneToOneField("products.Product", models.PROTECT, primary_key=True, related_name="+")
    movement_id = models.BigIntegerField()
    stock = models.BigIntegerField()
    """Units."""
    covers_until = models.DateTimeField()
    """When the youngest of the movements that have left was written."""

    class Meta:
        db_table = "stock_checkpoint"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.product_id}: {self.movement_id}"
