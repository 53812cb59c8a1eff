"""The trace of one order, from its request to the consumer and the data platform."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest
from django.conf import settings as project_settings
from pytest_django import Settings

from commerce.api.authentication import tokens_for
from commerce.core import tracing
from commerce.outbox.models import OutboxMessage
from stats.models import ProcessedEvent
from tests.factories import ProductFactory, UserFactory, order_of
from tests.fuzz.web_server import web_server
from tests.monitoring.collector import Collector, Span, collector_at_work
from tests.outbox.manage import _environment, managed
from tests.outbox.partner import Partner, partner_at_work
from tests.security.test_settings import run
from tests.together import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collector_at_work() as collector:
        yield collector


@pytest.fixture
def partner() -> Iterator[Partner]:
    with partner_at_work() as partner:
        yield partner


@pytest.fixture
def environment(collector: Collector, partner: Partner, settings: Settings) -> dict[str, str]:
    """The settings of a shop with tracing."""
    settings.KAFKA_TOPIC_PREFIX = f"{uuid.uuid4().hex[:8]}-"
    settings.DATA_PLATFORM_URL = partner.url
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "KAFKA_TOPIC_PREFIX": settings.KAFKA_TOPIC_PREFIX,
        "KAFKA_BOOTSTRAP_SERVERS": project_settings.KAFKA_BOOTSTRAP_SERVERS,
        "KAFKA_CONSUMER_GROUP": f"group-{uuid.uuid4().hex[:8]}",
        "DATA_PLATFORM_URL": partner.url,
        "DATA_PLATFORM_SECRET": "the partner's and our secret, 40 letters",
    }


def placed(web: str) -> int:
    """Order a pen with a `traceparent`; returns the order's id."""
    user, pen = UserFactory(balance=10_000), ProductFactory(price=1_000, stock=10)
    access = tokens_for(user_id=user.pk, is_staff=False).access
    request = Request(  # noqa: S310  # our own http address
        f"{web}/api/orders",
        data=json.dumps({"items": [{"productId": pen.pk, "quantity": 1}]}).encode(),
        headers={
            "Authorization": f"Bearer {access}",
            "Content-Type": "application/json",
            "Idempotency-Key": "traced-1",
            "X-Request-ID": "traced-request",
            "traceparent": f"00-{TRACE}-{CALLER}-01",
        },
    )
    with urlopen(request) as answer:  # noqa: S310  # the same
        return int(json.load(answer)["id"])


def only(spans: list[Span], **expected: str) -> Span:
    found = [span for span in spans if all(getattr(span, name) == value for name, value in expected.items())]
    assert len(found) == 1, (expected, spans)
    return found[0]


def test_a_trace_leads_from_request_to_consumer_and_data_platform(
    collector: Collector, partner: Partner, environment: dict[str, str]
) -> None:
    with (
        web_server(**environment) as web,
        managed("relay_outbox", environment=environment) as relay,
        managed("consume_orders", environment=environment) as consumer,
    ):
        order_id = placed(web.url)
        wait_until(lambda: any(span.kind == "CONSUMER" for span in collector.of(TRACE)), "the consumer's span")
        wait_until(lambda: any(span.kind == "SERVER" for span in collector.of(TRACE)), "the request's span")
        wait_until(lambda: len([s for s in collector.of(TRACE) if s.kind == "PRODUCER"]) == 3, "the deliveries' spans")
        assert relay.stop() == 0
        assert consumer.stop() == 0
    spans = collector.of(TRACE)
    request = only(spans, kind="SERVER")
    assert (request.service, request.name, request.parent) == ("commerce-web", "POST /api/orders", CALLER)
    assert request.attributes["http.route"] == "/api/orders"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["commerce.request_id"] == "traced-request"
    waited = only(spans, name="wait for the group")
    written = only(spans, name="transaction of the group")
    assert {waited.parent, written.parent} == {request.id}
    assert written.attributes["commerce.write"] == "PlaceOrder"
    sent = [span for span in spans if span.kind == "PRODUCER"]
    assert {span.parent for span in sent} == {written.id}
    assert {(span.service, span.name, span.attributes["messaging.destination.name"]) for span in sent} == {
        ("commerce-relay_outbox", "send balance-changed", "kafka"),
        ("commerce-relay_outbox", "send order-completed", "kafka"),
        ("commerce-relay_outbox", "send order-completed", "data-platform"),
    }
    to_kafka, to_partner = (
        next(span for span in sent if (span.name, span.attributes["messaging.destination.name"]) == (name, place))
        for name, place in (("send order-completed", "kafka"), ("send order-completed", "data-platform"))
    )
    counted = only(spans, kind="CONSUMER")
    assert (counted.service, counted.parent) == ("commerce-consume_orders", to_kafka.id)
    assert counted.name == f"process {environment['KAFKA_TOPIC_PREFIX']}order-completed"
    [call] = partner.calls
    assert call.headers["traceparent"] == f"00-{TRACE}-{to_partner.id}-01"
    assert not any(span.failed for span in spans)
    assert ProcessedEvent.objects.count() == 1
    assert set(OutboxMessage.objects.values_list("traceparent", flat=True)) == {f"00-{TRACE}-{written.id}-01"}
    assert f":{order_id}:" in to_partner.attributes["messaging.message.id"]


def test_members_of_one_group_keep_their_own_traces(collector: Collector, environment: dict[str, str]) -> None:
    """The sampling decision is that of the request that leads the group."""
    script = """
import django, json, sys, time
django.setup()
from django.test import Client
from commerce.core import group_commit, tracing
from commerce.api.authentication import tokens_for
from concurrent.futures import ThreadPoolExecutor
from opentelemetry import trace

def all_of_them(arrived, **_):
    until = time.monotonic() + 2
    while len(arrived) < 4 and time.monotonic() < until:
        time.sleep(0.001)

group_commit.gather = all_of_them

def charge(user_id):
    headers = {"Authorization": f"Bearer {tokens_for(user_id=user_id, is_staff=False).access}",
               "traceparent": f"00-{user_id:032x}-00000000000000aa-01"}
    body = {"amount": 1}
    return Client().post("/api/balance/charge", body, content_type="application/json", headers=headers).status_code

with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(charge, json.loads(sys.argv[1]))))
trace.get_tracer_provider().force_flush()
"""
    users = [UserFactory().pk for _ in range(4)]
    ended = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-c", script, json.dumps(users)],
        env=_environment({**environment, "DJANGO_SETTINGS_MODULE": "commerce.settings"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.stdout.strip() == "[200, 200, 200, 200]", ended.stderr
    for user_id in users:
        [message] = OutboxMessage.objects.filter(aggregate_id=str(user_id))
        assert message.traceparent is not None
        assert message.traceparent.split("-")[1] == f"{user_id:032x}"
        written = only(collector.of(f"{user_id:032x}"), name="transaction of the group")
        assert message.traceparent.split("-")[2] == written.id


def test_without_an_endpoint_opentelemetry_is_not_loaded() -> None:
    """Except for the modules that redis-py imports if OpenTelemetry is installed."""
    script = """
import sys
from commerce.wsgi import application
from commerce.core import tracing
from django.conf import settings
print(tracing.on, "commerce.server.tracing.TracingMiddleware" in settings.MIDDLEWARE,
      [name for name in sys.modules if name.startswith(("opentelemetry.sdk.trace", "opentelemetry.exporter"))])
"""
    ended = run([sys.executable, "-c", script])
    assert ended.stdout.strip() == "False False []", ended.stderr


def test_without_traces_a_message_has_none() -> None:
    assert not tracing.on
    order_of(UserFactory(balance=5_000), {ProductFactory(price=1): 1})
    assert set(OutboxMessage.objects.values_list("traceparent", flat=True)) == {None}


@pytest.mark.parametrize("share", ["-1", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    ended = run([sys.executable, "manage.py", "check"], OTEL_TRACES_SAMPLER_ARG=share)
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured: OTEL_TRACES_SAMPLER_ARG " in last
