"""The demo's webhook subscription, whose server does not exist, so that the log shows failed attempts.

Written directly to the tables, because the demo is loaded in one transaction.
"""

from datetime import timedelta

from django.utils import timezone

from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage, WebhookSubscription
from commerce.outbox.routes import WEBHOOKS
from commerce.outbox.sinks.webhooks import new_secret
from orders.events import order_completed
from orders.models import Order, OrderStatus
from orders.selectors import order_for

TYPES = ["order-cancelled", "order-completed"]
NOBODY_LISTENS = "http://127.0.0.1:9/webhooks"
"""A URL at which every call fails; `make run` allows this address."""
EVENTS = 12
_TROUBLE = (
    (DeliveryOutcome.REFUSED, 503, "HTTP 503: maintenance until noon"),
    (DeliveryOutcome.NO_ANSWER, None, "No whole answer in time"),
    (DeliveryOutcome.NO_ANSWER, None, "ConnectionResetError: [Errno 104] Connection reset by peer"),
)
_WAITS = (timedelta(0), timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=20))


def write_webhooks() -> None:
    """Write a subscription that was removed from its address meanwhile, with the calls of the newest orders.

    All of those arrived, some after failures. What is ordered from now on fails.
    """
    webhook = WebhookSubscription.objects.create(
        name="Warehouse (its server is down)", url=NOBODY_LISTENS, event_types=TYPES, secret=new_secret()
    )
    newest = Order.objects.filter(status=OrderStatus.COMPLETED).order_by("-id").values_list("pk", flat=True)[:EVENTS]
    for number, order_id in enumerate(reversed(newest)):
        _write_calls(webhook, order_id, failures=number % (len(_TROUBLE) + 1))


def _write_calls(webhook: WebhookSubscription, order_id: int, *, failures: int) -> None:
    order = order_for(order_id, owner_id=None)
    event = order_completed(order)
    now = timezone.now()
    times = [min(event.occurred_at + wait, now) for wait in _WAITS[: failures + 1]]
    message = OutboxMessage.objects.create(
        event_id=event.id,
        type=event.type,
        aggregate_type=event.aggregate_type,
        aggregate_id=str(event.user_id),
        destination=WEBHOOKS,
        subscription=webhook,
        payload=event.as_cloud_event().decode(),
        created_at=event.occurred_at,
        attempts=failures + 1,
        last_error=_TROUBLE[failures - 1][2] if failures else "",
        sent_at=times[-1],
    )
    ends = [*_TROUBLE[:failures], (DeliveryOutcome.ACKNOWLEDGED, 200, "")]
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            message=message,
            destination=WEBHOOKS,
            subscription=webhook,
            attempted_at=at,
            duration_ms=40 + order_id % 90,
            http_status=status,
            outcome=outcome,
            error=error,
        )
        for at, (outcome, status, error) in zip(times, ends, strict=True)
    )
