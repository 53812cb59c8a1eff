from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Forms and API have never accepted an adjustment of zero won, so the previous release writes none.

    0011 checks the rows that exist.
    """

    dependencies = [("balances", "0009_room_for_updates")]

    operations = [
        AddConstraintNotValid(
            "ledgerentry",
            models.CheckConstraint(
                condition=~Q(type="ADJUSTMENT", amount=0), name="user_balance_tx_adjustment_not_zero"
            ),
        ),
    ]
