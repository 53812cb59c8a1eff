from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("products", "0013_held_stock")]

    operations = [ValidateConstraint("product", "product_held_within_stock")]
