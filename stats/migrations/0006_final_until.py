from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stats", "0005_counted_until")]

    operations = [
        migrations.CreateModel(
            name="FinalUntil",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("moment", models.DateTimeField()),
            ],
            options={
                "db_table": "final_until",
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="final_until_is_one_row"),
                ],
            },
        ),
    ]
