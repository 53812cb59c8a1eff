from django.db import migrations, models
from django.db.models import Q

from commerce.core.postgresql.migrations import ValidateConstraint, WidenUniqueConcurrently


class Migration(migrations.Migration):
    # The index is built while payments go on.
    atomic = False

    dependencies = [("balances", "0007_entry_of_a_refund")]

    operations = [
        ValidateConstraint("ledgerentry", "user_balance_tx_refund_fits_type"),
        WidenUniqueConcurrently(
            "ledgerentry",
            models.UniqueConstraint(
                fields=["order_id", "refund_id"],
                condition=Q(type="REFUND"),
                nulls_distinct=False,
                name="user_balance_tx_each_refund_once",
            ),
            replaces="user_balance_tx_one_refund_per_order",
        ),
    ]
