"""Fixtures: subscriptions to receivers on the loopback, which the settings of the tests allow."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network

import pytest
from pytest_django import Settings

from commerce.outbox.models import WebhookSubscription
from commerce.outbox.sinks.base import sink_of
from commerce.outbox.sinks.webhooks import new_secret
from tests.webhooks.receiver import Receiver, receiver_at_work

LOOPBACK_NETWORK = ip_network("127.0.0.0/8")


@pytest.fixture(autouse=True)
def loopback_allowed(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [LOOPBACK_NETWORK]
    settings.WEBHOOK_ALLOW_HTTP = True
    settings.WEBHOOK_TIMEOUT_SECONDS = 1.0


@pytest.fixture(autouse=True)
def own_sinks() -> Iterator[None]:
    sink_of.cache_clear()
    yield
    sink_of.cache_clear()


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Creates receivers."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(receiver_at_work())


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


def subscribe(url: str, *event_types: str, name: str = "Partner", **columns: object) -> WebhookSubscription:
    """Create a subscription, by default to issued coupons."""
    values = {"secret": new_secret(), **columns}
    webhook = WebhookSubscription.objects.create(
        name=name, url=url, event_types=sorted(event_types or ("coupon-issued",)), **values
    )
    webhook.refresh_from_db()
    return webhook
