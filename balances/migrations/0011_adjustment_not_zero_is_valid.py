from django.db import migrations

from commerce.core.postgresql.migrations import ValidateConstraint


class Migration(migrations.Migration):
    # Balances can change while the table is read.
    atomic = False

    dependencies = [("balances", "0010_adjustment_not_zero")]

    operations = [ValidateConstraint("ledgerentry", "user_balance_tx_adjustment_not_zero")]
