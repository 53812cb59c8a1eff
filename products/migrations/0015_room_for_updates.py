from django.db import migrations


class Migration(migrations.Migration):
    """Leave room in each page, so that a product with a new stock stays in its page and needs no new index entries."""

    dependencies = [
        ("products", "0014_held_stock_is_checked"),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE product SET (fillfactor = 70)",
            "ALTER TABLE product RESET (fillfactor)",
        ),
    ]
