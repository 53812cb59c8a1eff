from django.db import migrations, models

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("outbox", "0008_webhook_subscriptions")]
    operations = [
        AddIndexConcurrently(
            "outboxmessage",
            models.Index(
                condition=models.Q(
                    ("parked_at__isnull", True), ("sent_at__isnull", True), ("subscription__isnull", False)
                ),
                fields=["subscription", "next_attempt_at"],
                name="outbox_message_subscribed",
            ),
        ),
        AddIndexConcurrently(
            "deliveryattempt",
            models.Index(
                condition=models.Q(("subscription__isnull", False)),
                fields=["subscription", "-id"],
                name="delivery_attempt_subscription",
            ),
        ),
    ]
