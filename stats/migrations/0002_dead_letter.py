import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stats", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("topic", models.CharField(max_length=249, verbose_name="topic")),
                ("partition", models.PositiveIntegerField(verbose_name="partition")),
                ("offset", models.PositiveBigIntegerField(verbose_name="offset")),
                ("key", models.BinaryField(null=True, verbose_name="key")),
                ("payload", models.BinaryField(verbose_name="payload")),
                (
                    "headers",
                    models.JSONField(
                        default=list,
                        help_text="Name and value of each; a value that is no text is written in hex.",
                        verbose_name="headers",
                    ),
                ),
                (
                    "reason",
                    models.TextField(
                        help_text="Why it could not be counted when it was last tried.", verbose_name="reason"
                    ),
                ),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="received at"
                    ),
                ),
                ("replayed_at", models.DateTimeField(blank=True, null=True, verbose_name="replayed at")),
            ],
            options={
                "verbose_name": "dead letter",
                "verbose_name_plural": "dead letters",
                "db_table": "dead_letter",
                "ordering": ["-id"],
            },
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                condition=models.Q(("replayed_at__isnull", True)), fields=["id"], name="dead_letter_waiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="deadletter",
            constraint=models.UniqueConstraint(
                models.F("topic"),
                models.F("partition"),
                models.F("offset"),
                models.Func(models.F("payload"), function="sha256"),
                name="dead_letter_stored_once",
            ),
        ),
    ]
