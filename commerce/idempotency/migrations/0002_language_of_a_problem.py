from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("idempotency", "0001_initial")]

    operations = [
        # With a default in the database, so that processes that do not know the column yet still keep answers.
        migrations.AddField(
            "idempotencykey",
            "language",
            models.CharField("language", max_length=10, blank=True, default="", db_default=""),
        ),
    ]
