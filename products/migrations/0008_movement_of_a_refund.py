from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("products", "0007_import_line_message")]

    operations = [
        migrations.AddField(
            "stockmovement", "refund_id", models.BigIntegerField(blank=True, null=True, verbose_name="refund")
        ),
        AddConstraintNotValid(
            "stockmovement",
            models.CheckConstraint(
                condition=Q(refund_id__isnull=True) | Q(reason="RETURN"), name="stock_movement_refund_fits_reason"
            ),
        ),
    ]
