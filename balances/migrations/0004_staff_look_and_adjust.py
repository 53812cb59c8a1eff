"""What staff need: rights to adjust and to export, and indexes to look by.

A payment writes one of them, that of the ledger's time, at its end. The ledger is locked against writing while they
are built, a few seconds for millions of entries.
"""

from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):
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
        migrations.AddIndex("ledgerentry", models.Index(fields=["created_at"], name="user_balance_tx_time")),
        migrations.AddIndex(
            "ledgerentry",
            models.Index(
                condition=models.Q(("type", "ADJUSTMENT")), fields=["created_at"], name="user_balance_tx_adjustments"
            ),
        ),
        migrations.AddIndex("user", models.Index(Upper("email"), name="user_email")),
    ]
