"""Messages that were not tried before the deadline of their batch: no attempt is counted, and their order is kept."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Producer
from django.utils import timezone
from pytest_django import Settings

from commerce.embedded.broker import Broker
from commerce.outbox import dispatcher, local_dispatch
from commerce.outbox.dispatcher import Dispatcher, Drained
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from commerce.outbox.sinks import kafka
from commerce.outbox.sinks.base import Message, sink_of
from tests.outbox.conftest import publish_events, read_topic, waiting
from tests.outbox.partner import Partner
from tests.together import PATIENCE_SECONDS, meanwhile, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def publish_an_order(times: int = 1) -> list[str]:
    return publish_events(event_type="order-completed", times=times)


class TestDataPlatform:
    """All slots for calls are in use."""

    @pytest.fixture
    def no_turn(self, partner: Partner, settings: Settings) -> Iterator[Event]:
        """Requests in sync mode occupy all slots for calls until the event is set."""
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = 60.0
        partner.hold = Event()
        busy = [Message(number, f"busy:{number}", "order-completed", "1", b"{}", 0) for number in range(8)]
        with meanwhile(lambda: sink_of(DATA_PLATFORM).deliver(busy)):
            wait_until(lambda: len(partner.calls) == 8, "the calls that hang")
            settings.DATA_PLATFORM_TIMEOUT_SECONDS = 0.3
            try:
                yield partner.hold
            finally:
                partner.hold.set()

    def assert_untouched(self, event_id: str) -> None:
        [row] = waiting(DATA_PLATFORM)
        assert (row.event_id, row.attempts, row.last_error) == (event_id, 0, "")
        assert row.next_attempt_at <= timezone.now()
        assert not DeliveryAttempt.objects.exists()

    def test_no_attempt_is_counted_and_no_wait_is_set(
        self, no_turn: Event, partner: Partner, settings: Settings
    ) -> None:
        [event_id] = publish_an_order()
        dispatcher = Dispatcher(DATA_PLATFORM)
        assert dispatcher.drain() == Drained()
        assert dispatcher.pause_seconds() > 0, "else a thread would ask again and again"
        self.assert_untouched(event_id)
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = PATIENCE_SECONDS
        no_turn.set()
        wait_until(lambda: Dispatcher(DATA_PLATFORM).drain().sent == 1, "its turn")
        assert partner.keys.count(event_id) == 1

    def test_in_sync_mode_the_claim_is_released(self, no_turn: Event) -> None:
        [event_id] = publish_an_order()
        assert not Dispatcher(DATA_PLATFORM).deliver_now(event_id)
        self.assert_untouched(event_id)

    def test_control_without_the_release_it_is_not_due(self, no_turn: Event, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatcher, "GIVE_BACK", "SELECT %s, %s")
        # The claim must be valid for long enough on a busy machine.
        monkeypatch.setattr(dispatcher, "FIRST_WAIT_SECONDS", PATIENCE_SECONDS)
        [event_id] = publish_an_order()
        Dispatcher(DATA_PLATFORM).deliver_now(event_id)
        assert not Dispatcher(DATA_PLATFORM).anything_due()

    def test_it_is_not_reported_to_the_breaker(self, no_turn: Event, settings: Settings) -> None:
        publish_an_order(times=settings.DATA_PLATFORM_BREAKER_FAILURES + 1)
        Dispatcher(DATA_PLATFORM).drain()
        breaker = sink_of(DATA_PLATFORM).breaker
        assert breaker is not None
        assert breaker.pause_seconds() == 0.0

    @pytest.mark.usefixtures("dispatching")
    def test_a_web_process_continues_by_itself(self, no_turn: Event, partner: Partner, settings: Settings) -> None:
        [event_id] = publish_an_order()
        thread = local_dispatch._threads._by_destination[DATA_PLATFORM]
        wait_until(lambda: thread._dispatcher.pause_seconds() > 0, "a drain that got no turn")
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = PATIENCE_SECONDS
        no_turn.set()
        wait_until(lambda: waiting(DATA_PLATFORM) == [], "the message to leave")
        assert partner.keys.count(event_id) == 1


class TestKafka:
    """The producer's queue is full, and the broker is paused."""

    ROOM = 10

    @pytest.fixture
    def paused(self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
        """Pause the broker after it has created the topic; yields its process id."""
        monkeypatch.setattr(kafka, "DELIVERY_SECONDS", 1.0)
        monkeypatch.setattr(
            kafka, "Producer", lambda configured: Producer(configured | {"queue.buffering.max.messages": self.ROOM})
        )
        monkeypatch.setattr(kafka, "_clients", kafka._Clients())
        broker = Broker(tmp_path, logs=tmp_path)
        broker.start()
        try:
            settings.KAFKA_BOOTSTRAP_SERVERS = broker.bootstrap_servers
            publish_events()
            wait_until(lambda: Dispatcher(KAFKA).drain().sent == 1, "the first message to leave")
            assert broker.child.pid is not None
            os.kill(broker.child.pid, signal.SIGSTOP)
            yield broker.child.pid
        finally:
            broker.child.kill()

    def test_it_is_sent_later_in_order(self, paused: int) -> None:
        event_ids = publish_events(times=30)
        assert Dispatcher(KAFKA).drain() == Drained(failed=self.ROOM)
        assert [row.attempts for row in waiting(KAFKA)] == [1] * self.ROOM + [0] * 20
        os.kill(paused, signal.SIGCONT)
        OutboxMessage.objects.update(next_attempt_at=timezone.now())
        wait_until(lambda: Dispatcher(KAFKA).drain().failed == 0 and not waiting(KAFKA), "the rest to leave")
        arrived = [json.loads(record.value)["id"] for record in read_topic("coupon-issued", at_least=31)]
        assert list(dict.fromkeys(arrived))[1:] == event_ids

    def test_control_otherwise_an_attempt_is_counted(self, paused: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            kafka._Client, "enqueue", lambda *given, enqueue=kafka._Client.enqueue: enqueue(*given) or True
        )
        publish_events(times=30)
        assert Dispatcher(KAFKA).drain() == Drained(failed=30)
