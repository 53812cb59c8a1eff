from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("products", "0011_purchase_limit_is_valid")]

    operations = [
        migrations.AddField(
            model_name="productimport",
            name="imported_count",
            field=models.IntegerField(db_default=0, verbose_name="rows imported"),
        ),
        migrations.AddField(
            model_name="productimport",
            name="refused_count",
            field=models.IntegerField(db_default=0, verbose_name="rows refused"),
        ),
        migrations.AddField(
            model_name="productimport",
            name="imported_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="imported at"),
        ),
    ]
