import django.core.validators
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("products", "0009_each_movement_once")]

    operations = [
        migrations.AddField(
            "product",
            "purchase_limit",
            models.IntegerField(
                blank=True,
                help_text="Units that one customer may buy in all, less what came back. Empty: no limit.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000000),
                ],
                verbose_name="purchase limit",
            ),
        ),
        AddConstraintNotValid(
            "product",
            models.CheckConstraint(
                condition=Q(purchase_limit__isnull=True) | Q(purchase_limit__gte=1, purchase_limit__lte=1000000),
                name="product_purchase_limit_in_range",
            ),
        ),
    ]
