"""What staff need: rights to adjust and to export, and indexes to look by.

A payment writes one of them, that of the ledger's time, at its end. They are built while the shop goes on, outside a
transaction: one that locked the ledger and then the accounts would meet charges, which lock them the other way round.
"""

from django.db import migrations, models
from django.db.models.functions import Upper

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("auth", "0012_alter_user_first_name_max_length"), ("balances", "0003_ledger_is_chained")]

    operations = [
        migrations.AlterModelOptions(
            "ledgerentry",
            {
                "ordering": ["-id"],
                "permissions": [("export_ledgerentry", "Can export the ledger")],
                "verbose_name": "ledger entry",
                "verbose_name_plural": "ledger",
            },
        ),
        migrations.AlterModelOptions(
            "user",
            {
                "permissions": [
                    ("adjust_balance", "Can credit and debit a balance"),
                    ("export_user", "Can export accounts"),
                ],
                "verbose_name": "user",
                "verbose_name_plural": "users",
            },
        ),
        AddIndexConcurrently("ledgerentry", models.Index(fields=["created_at"], name="user_balance_tx_time")),
        AddIndexConcurrently(
            "ledgerentry",
            models.Index(
                condition=models.Q(("type", "ADJUSTMENT")), fields=["created_at"], name="user_balance_tx_adjustments"
            ),
        ),
        AddIndexConcurrently("user", models.Index(Upper("email"), name="user_email")),
    ]
