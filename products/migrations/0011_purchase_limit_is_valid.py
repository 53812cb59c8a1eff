from django.db import migrations

from commerce.core.postgresql.migrations import ValidateConstraint


class Migration(migrations.Migration):
    # Products can be saved while the table is read.
    atomic = False

    dependencies = [("products", "0010_purchase_limit")]

    operations = [ValidateConstraint("product", "product_purchase_limit_in_range")]
