import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

REASONS = [
    ("staff", "switched off by staff"),
    ("failing", "failed for too long"),
    ("gone", "the receiver answered 410 Gone"),
    ("removed", "removed"),
]


def to_subscription(related_name: str) -> models.ForeignKey:
    return models.ForeignKey(
        blank=True,
        db_constraint=False,
        db_index=False,
        null=True,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to="outbox.webhooksubscription",
        verbose_name="webhook subscription",
    )


class Migration(migrations.Migration):
    """The table, and columns that are empty for all messages of before: nothing is read or rewritten."""

    dependencies = [("outbox", "0007_traceparent")]

    operations = [
        migrations.CreateModel(
            name="WebhookSubscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("url", models.CharField(max_length=500, verbose_name="URL")),
                (
                    "event_types",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), size=None, verbose_name="event types"
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("secret", models.CharField(max_length=100)),
                ("previous_secret", models.CharField(blank=True, db_default="", max_length=100)),
                (
                    "previous_secret_until",
                    models.DateTimeField(blank=True, null=True, verbose_name="previous secret good until"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created at"
                    ),
                ),
                (
                    "ended_for",
                    models.CharField(
                        blank=True, choices=REASONS, db_default="", max_length=10, verbose_name="off because"
                    ),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="off since")),
                ("failures", models.PositiveIntegerField(db_default=0, verbose_name="failed calls in a row")),
                ("failing_since", models.DateTimeField(blank=True, null=True, verbose_name="fails since")),
                (
                    "next_call_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="next call at"
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook subscription",
                "verbose_name_plural": "webhook subscriptions",
                "db_table": "webhook_subscription",
                "default_permissions": ("view", "add", "change"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_active", True)), fields=["id"], name="webhook_subscription_active"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("ended_for", ""), ("is_active", True)),
                            models.Q(
                                ("ended_at__isnull", False),
                                ("is_active", False),
                                models.Q(("ended_for", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="webhook_subscription_off_for_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("previous_secret", ""), ("previous_secret_until__isnull", True)),
                            models.Q(
                                models.Q(("previous_secret", ""), _negated=True),
                                ("previous_secret_until__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="webhook_subscription_overlap_ends",
                    ),
                ],
            },
        ),
        migrations.AddField("outboxmessage", "subscription", to_subscription("messages")),
        migrations.AddField(
            "outboxmessage",
            "resent_at",
            models.DateTimeField(blank=True, null=True, verbose_name="sent again at"),
        ),
        migrations.AddField("deliveryattempt", "subscription", to_subscription("deliveries")),
    ]
