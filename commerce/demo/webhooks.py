"""The demo's webhook subscription, whose receiver has been unavailable for hours.

Its rows are written directly to the tables, because the demo is loaded in one transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

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
DELIVERED = 9
"""The number of delivered messages; every later order waits."""
FAILING_FOR, LONGEST_FAILING = timedelta(hours=3), timedelta(hours=12)
"""For how long the calls have failed, at least and at most. The dashboard shows it after one hour."""

_Call = tuple[datetime, tuple[DeliveryOutcome, int | None, str]]
_CALLED_AGAIN_AFTER = timedelta(minutes=5)
"""The time until the first real call, so that the demo's calls are the latest when staff look for the first time."""
_TROUBLE: Sequence[tuple[DeliveryOutcome, int | None, str]] = (
    (DeliveryOutcome.REFUSED, 503, "HTTP 503: maintenance until noon"),
    (DeliveryOutcome.NO_ANSWER, None, "No whole answer in time"),
    (DeliveryOutcome.NO_ANSWER, None, "ConnectionResetError: [Errno 104] Connection reset by peer"),
)
_RETRIES = (timedelta(0), timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=20))
"""The calls with a delivered message, since its event."""
_PROBES = tuple(timedelta(seconds=seconds) for seconds in (0, 1, 4, 20, 120, 700, 3_500, 7_000, 10_200))
"""The calls with the first waiting message, since the first failure; less than `FAILING_FOR`."""


def write_webhooks() -> None:
    """Write the subscription, delivered messages of some orders, and waiting messages of all later ones.

    The demo's orders must exist. Must be called inside a transaction.
    """
    now = timezone.now()
    webhook = WebhookSubscription.objects.create(
        name="창고 / Warehouse", url=NOBODY_LISTENS, event_types=TYPES, secret=new_secret()
    )
    completed = Order.objects.filter(status=OrderStatus.COMPLETED).order_by("-id")
    first = completed.filter(created_at__lte=now - FAILING_FOR).first()
    if first is None:
        return
    for number, order in enumerate(list(completed.filter(pk__lt=first.pk)[:DELIVERED])[::-1]):
        failures = _TROUBLE[: number % len(_RETRIES)]
        times = [min(order.created_at + wait, now) for wait in _RETRIES]
        calls = list(zip(times, [*failures, (DeliveryOutcome.ACKNOWLEDGED, 200, "")], strict=False))
        _write_message(webhook, order.pk, calls, sent_at=calls[-1][0])
    # A failing subscription is called with one message at a time.
    failing_since = max(first.created_at, now - LONGEST_FAILING)
    calls = [(failing_since + wait, _TROUBLE[number % len(_TROUBLE)]) for number, wait in enumerate(_PROBES)]
    _write_message(webhook, first.pk, calls)
    for order in completed.filter(pk__gt=first.pk).order_by("id"):
        _write_message(webhook, order.pk)
    webhook.failures, webhook.failing_since = len(calls), failing_since
    webhook.next_call_at = now + _CALLED_AGAIN_AFTER
    webhook.save()


def _write_message(
    webhook: WebhookSubscription, order_id: int, calls: Sequence[_Call] = (), *, sent_at: datetime | None = None
) -> None:
    event = order_completed(order_for(order_id, owner_id=None))
    errors = [error for _, (_, _, error) in calls if error]
    message = OutboxMessage.objects.create(
        event_id=event.id,
        type=event.type,
        aggregate_type=event.aggregate_type,
        aggregate_id=str(event.user_id),
        destination=WEBHOOKS,
        subscription=webhook,
        payload=event.as_cloud_event().decode(),
        created_at=event.occurred_at,
        attempts=len(calls),
        last_error=errors[-1] if errors else "",
        sent_at=sent_at,
    )
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
        for at, (outcome, status, error) in calls
    )
