from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stats", "0004_events_are_recorded_with_their_time")]

    operations = [
        migrations.CreateModel(
            name="CountedUntil",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("moment", models.DateTimeField()),
            ],
            options={
                "db_table": "counted_until",
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="counted_until_is_one_row"),
                ],
            },
        ),
    ]
