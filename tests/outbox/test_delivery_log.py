"""The delivery log: one row per call to the data platform, written with the state of the message."""

from datetime import timedelta
from threading import Event

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.outbox.dispatcher import Dispatcher, Drained
from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage
from commerce.outbox.resend import send_again
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from tests.outbox.conftest import publish_events, waiting
from tests.outbox.partner import Partner
from tests.shop_state import statements

pytestmark = pytest.mark.django_db(transaction=True)


def message_of() -> OutboxMessage:
    [event_id] = publish_events(event_type="order-completed")
    return OutboxMessage.objects.get(event_id=event_id, destination=DATA_PLATFORM)


def the_attempt() -> DeliveryAttempt:
    return DeliveryAttempt.objects.get()


def test_a_successful_call(partner: Partner) -> None:
    message = message_of()
    before = timezone.now()
    assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=1)
    attempt = the_attempt()
    assert (attempt.message_id, attempt.destination) == (message.pk, DATA_PLATFORM)
    assert (attempt.outcome, attempt.http_status, attempt.error) == (DeliveryOutcome.ACKNOWLEDGED, 200, "")
    assert before <= attempt.attempted_at <= timezone.now()
    assert 0 <= attempt.duration_ms < 1_000


def test_a_call_with_another_status(partner: Partner) -> None:
    partner.status, partner.body = 503, b"closed for \0 stocktaking"
    message_of()
    Dispatcher(DATA_PLATFORM).drain()
    attempt = the_attempt()
    assert (attempt.outcome, attempt.http_status) == (DeliveryOutcome.REFUSED, 503)
    assert attempt.error == "HTTP 503: closed for  stocktaking"


def test_a_refused_connection(settings: Settings, closed_port: int) -> None:
    settings.DATA_PLATFORM_URL = f"http://127.0.0.1:{closed_port}/orders"
    message_of()
    Dispatcher(DATA_PLATFORM).drain()
    attempt = the_attempt()
    assert (attempt.outcome, attempt.http_status) == (DeliveryOutcome.NO_ANSWER, None)
    assert "refused" in attempt.error


def test_a_hanging_call(partner: Partner, settings: Settings) -> None:
    settings.DATA_PLATFORM_TIMEOUT_SECONDS = 0.4
    partner.hold = Event()
    message_of()
    Dispatcher(DATA_PLATFORM).drain()
    attempt = the_attempt()
    assert (attempt.outcome, attempt.http_status) == (DeliveryOutcome.NO_ANSWER, None)
    assert attempt.duration_ms > 0


def test_a_call_in_sync_mode(partner: Partner) -> None:
    message = message_of()
    assert Dispatcher(DATA_PLATFORM).deliver_now(message.event_id)
    assert the_attempt().message_id == message.pk


def test_each_attempt_has_a_row(partner: Partner) -> None:
    message = message_of()
    for status in (500, 429, 200):
        partner.status = status
        OutboxMessage.objects.update(next_attempt_at=timezone.now())
        Dispatcher(DATA_PLATFORM).drain()
    assert list(message.deliveries.order_by("id").values_list("http_status", flat=True)) == [500, 429, 200]


def test_a_resent_message_has_the_same_key(partner: Partner) -> None:
    message = message_of()
    Dispatcher(DATA_PLATFORM).drain()
    assert Dispatcher(DATA_PLATFORM).drain() == Drained()
    assert send_again([message.pk], by=None) == [DATA_PLATFORM]
    assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=1)
    assert partner.keys == [message.event_id] * 2
    assert message.deliveries.count() == 2
    message.refresh_from_db()
    assert (message.attempts, message.sent_at is not None) == (1, True)


def test_the_log_needs_no_extra_round_trip(partner: Partner) -> None:
    publish_events(event_type="order-completed", times=10)
    with statements() as ran:
        assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=10)
    assert [statement.split()[0] for statement in ran] == ["SELECT", "WITH", "SELECT"]
    assert DeliveryAttempt.objects.count() == 10


def test_a_batch_with_all_outcomes_is_one_statement(partner: Partner, settings: Settings) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 2
    partner.status = 500
    tried, other = message_of(), message_of()
    OutboxMessage.objects.filter(pk=tried.pk).update(attempts=1)
    Dispatcher(DATA_PLATFORM).drain()
    tried.refresh_from_db()
    other.refresh_from_db()
    assert (tried.parked_at is not None, other.parked_at) == (True, None)
    assert (tried.last_error, other.last_error) == ("HTTP 500: ok", "HTTP 500: ok")
    assert other.next_attempt_at - timezone.now() < timedelta(seconds=0.5)
    assert DeliveryAttempt.objects.count() == 2


def test_log_and_message_state_are_one_transaction(partner: Partner) -> None:
    """State and log are written in one transaction; if it fails, the message is sent again."""
    message_of()
    sql.execute("ALTER TABLE delivery_attempt ADD CONSTRAINT full_disk CHECK (duration_ms < 0)")
    try:
        with pytest.raises(IntegrityError):
            Dispatcher(DATA_PLATFORM).drain()
    finally:
        sql.execute("ALTER TABLE delivery_attempt DROP CONSTRAINT full_disk")
    [row] = waiting(DATA_PLATFORM)
    assert (row.attempts, row.sent_at) == (0, None)
    assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=1)
    assert DeliveryAttempt.objects.count() == 1


def test_kafka_has_no_log() -> None:
    publish_events()
    assert Dispatcher(KAFKA).drain() == Drained(sent=1)
    assert not DeliveryAttempt.objects.exists()
