import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("list_of", models.CharField(help_text="Such as orders.order.", max_length=60, verbose_name="list")),
                ("name", models.CharField(max_length=60, verbose_name="name")),
                ("query", models.TextField(max_length=2000, verbose_name="filter")),
                (
                    "saved_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="saved at"),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="owner",
                    ),
                ),
            ],
            options={
                "verbose_name": "saved view",
                "verbose_name_plural": "saved views",
                "db_table": "saved_view",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("owner", "list_of", "name"), name="saved_view_one_per_name"),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True) & models.Q(("query", ""), _negated=True),
                        name="saved_view_says_something",
                    ),
                ],
            },
        ),
    ]
