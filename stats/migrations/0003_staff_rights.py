from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("stats", "0002_dead_letter")]

    operations = [
        migrations.AlterModelOptions(
            name="productstat",
            options={
                "ordering": ["-date", "product_id"],
                "permissions": [
                    ("export_productstat", "Can export statistics"),
                    ("rebuild_productstat", "Can rebuild a day of the statistics"),
                ],
                "verbose_name": "product statistic",
                "verbose_name_plural": "product statistics",
            },
        ),
        migrations.AlterModelOptions(
            name="deadletter",
            options={
                "ordering": ["-id"],
                "permissions": [("replay_deadletter", "Can replay dead letters")],
                "verbose_name": "dead letter",
                "verbose_name_plural": "dead letters",
            },
        ),
    ]
