from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    """The code of before writes no `held`, so nothing is held by it; 0014 checks the rows that exist."""

    dependencies = [("products", "0012_past_imports")]

    operations = [
        migrations.AddField(
            model_name="product",
            name="held",
            field=models.IntegerField(db_default=0, default=0, editable=False, verbose_name="held for carts"),
        ),
        AddConstraintNotValid(
            model_name="product",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("held", 0), models.Q(("held__gt", 0), ("held__lte", models.F("stock"))), _connector="OR"
                ),
                name="product_held_within_stock",
            ),
        ),
    ]
