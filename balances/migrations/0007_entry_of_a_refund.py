from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("balances", "0006_search_by_names")]

    operations = [
        migrations.AddField(
            "ledgerentry", "refund_id", models.BigIntegerField(blank=True, null=True, verbose_name="refund")
        ),
        AddConstraintNotValid(
            "ledgerentry",
            models.CheckConstraint(
                condition=Q(refund_id__isnull=True) | Q(type="REFUND"), name="user_balance_tx_refund_fits_type"
            ),
        ),
    ]
