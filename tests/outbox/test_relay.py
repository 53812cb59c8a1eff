"""`manage.py relay_outbox` and `outbox_status`, as processes of their own."""

import json
import signal
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from types import SimpleNamespace
from typing import ClassVar

import pytest
from django.utils import timezone

from commerce.outbox.dispatcher_thread import DispatcherThread
from commerce.outbox.management.commands import relay_outbox
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from commerce.outbox.sinks.base import sink_of
from tests.outbox.conftest import publish_events, read_topic, unavailable_kafka, waiting
from tests.outbox.manage import call, managed, run
from tests.outbox.partner import Partner
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

RELAYING = "Relaying to kafka, data-platform"


def environment_of(partner: Partner) -> dict[str, str]:
    return {"DATA_PLATFORM_SECRET": "the partner's and our secret, 40 letters", "DATA_PLATFORM_URL": partner.url}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_relay_sends_new_messages_until_sigterm(partner: Partner, number: signal.Signals) -> None:
    before = publish_events(event_type="order-completed", times=3)
    with managed("relay_outbox", environment=environment_of(partner)) as relay:
        wait_until(lambda: not waiting(KAFKA) + waiting(DATA_PLATFORM), "what was there before")
        meanwhile = publish_events(event_type="order-completed", times=3)
        wait_until(lambda: not waiting(KAFKA) + waiting(DATA_PLATFORM), "what came meanwhile")
        assert relay.stop(number) == 0
        assert relay.printed(RELAYING)
        assert relay.printed("Relay stopped")
    assert sorted(partner.keys) == sorted(before + meanwhile)
    records = read_topic("order-completed", at_least=6)
    assert [json.loads(record.value)["id"] for record in records] == before + meanwhile


def test_the_current_batch_is_finished_on_sigterm(partner: Partner) -> None:
    event_ids = publish_events(event_type="order-completed", times=8)
    partner.hold = Event()
    environment = environment_of(partner) | {"DATA_PLATFORM_TIMEOUT_SECONDS": "20"}
    with managed("relay_outbox", environment=environment) as relay:
        wait_until(lambda: len(partner.calls) == 8, "a batch in hand")
        relay.process.send_signal(signal.SIGTERM)
        partner.hold.set()
        assert relay.process.wait(timeout=20) == 0
    assert waiting(DATA_PLATFORM) == []
    assert sorted(partner.keys) == sorted(event_ids)


def test_two_relays_send_each_message_once(partner: Partner) -> None:
    environment = environment_of(partner)
    with (
        managed("relay_outbox", environment=environment) as one,
        managed("relay_outbox", environment=environment) as two,
    ):
        wait_until(lambda: one.printed(RELAYING) and two.printed(RELAYING), "both relays")
        event_ids = [
            event_id
            for user in range(1, 6)
            for event_id in publish_events(user_id=user, event_type="order-completed", times=8)
        ]
        wait_until(lambda: not waiting(KAFKA) + waiting(DATA_PLATFORM), "the messages to leave")
        assert (one.stop(), two.stop()) == (0, 0)
    assert sorted(partner.keys) == sorted(event_ids)
    sent = [json.loads(record.value)["id"] for record in read_topic("order-completed", at_least=40)]
    assert sorted(sent) == sorted(event_ids)


def test_a_killed_relay_leaves_its_work_to_the_next(partner: Partner) -> None:
    event_ids = publish_events(event_type="order-completed", times=2)
    partner.hold = Event()
    environment = environment_of(partner) | {"DATA_PLATFORM_TIMEOUT_SECONDS": "20"}
    with managed("relay_outbox", environment=environment) as lost:
        wait_until(lambda: len(partner.calls) == 2, "calls without an answer")
        lost.stop(signal.SIGKILL)
    partner.hold.set()
    assert len(waiting(DATA_PLATFORM)) == 2
    with managed("relay_outbox", environment=environment) as relay:
        wait_until(lambda: not waiting(DATA_PLATFORM), "the next relay")
        assert relay.stop() == 0
    assert set(partner.keys) == set(event_ids)


class NotStarted(DispatcherThread):
    """Notes at its start how many sinks there are, and never runs."""

    sinks: ClassVar[list[int]] = []

    def start(self) -> None:
        self.sinks.append(sink_of.cache_info().currsize)

    def join(self, timeout: float | None = None) -> None:
        """There is nothing to wait for."""


@pytest.mark.usefixtures("partner")
def test_all_sinks_are_imported_before_a_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    NotStarted.sinks.clear()
    monkeypatch.setattr(relay_outbox, "DispatcherThread", NotStarted)
    monkeypatch.setattr(relay_outbox, "_WATCH_SECONDS", 0.0)
    monkeypatch.setattr(relay_outbox, "signal", SimpleNamespace(SIGTERM=0, SIGINT=0, signal=lambda *_: None))
    assert call("relay_outbox").returncode == 1
    assert NotStarted.sinks == [3, 3, 3]


class TestOnce:
    """`--once`: deliver all due messages and exit."""

    def test_0_when_nothing_is_waiting(self, partner: Partner) -> None:
        publish_events(event_type="order-completed", times=2)
        done = run("relay_outbox", "--once", environment=environment_of(partner))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "kafka: 2 sent, 0 failed",
            "data-platform: 2 sent, 0 failed",
            "webhooks: 0 sent, 0 failed",
        ]

    def test_1_when_messages_are_waiting(self, partner: Partner) -> None:
        partner.status = 500
        publish_events(event_type="order-completed")
        done = call("relay_outbox", "--once")
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "kafka: 1 sent, 0 failed",
            "data-platform: 0 sent, 1 failed",
            "webhooks: 0 sent, 0 failed",
        ]
        assert "Still waiting: {'kafka': 0, 'data-platform': 1, 'webhooks': 0}" in done.stderr

    @pytest.mark.usefixtures("partner")
    def test_1_when_kafka_is_unavailable(self) -> None:
        publish_events()
        with unavailable_kafka():
            done = call("relay_outbox", "--once")
        assert done.returncode == 1
        assert done.stdout.splitlines()[0] == "kafka: 0 sent, 1 failed"


class TestStatus:
    """`outbox_status`: the counts for each destination."""

    @pytest.fixture
    def status(self, partner: Partner) -> Callable[..., str]:
        def ask(*arguments: str) -> str:
            done = call("outbox_status", *arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout

        return ask

    def test_an_empty_outbox(self, status: Callable[..., str]) -> None:
        nothing = {"waiting": 0, "parked": 0, "sent": 0, "oldest_waiting_seconds": None}
        assert json.loads(status("--json")) == {
            "destinations": [
                {"destination": "kafka", "switched_on": True, **nothing},
                {"destination": "data-platform", "switched_on": True, **nothing},
                {"destination": "mail", "switched_on": False, **nothing},
                {"destination": "webhooks", "switched_on": True, **nothing},
                {"destination": "product-stats", "switched_on": False, **nothing},
            ]
        }

    def test_waiting_parked_and_sent_messages(self, status: Callable[..., str]) -> None:
        now = timezone.now()
        event_ids = publish_events(event_type="order-completed", times=6)
        kafka = OutboxMessage.objects.filter(destination=KAFKA)
        kafka.update(created_at=now - timedelta(seconds=90))
        kafka.filter(event_id__in=event_ids[:3]).update(sent_at=now)
        kafka.filter(event_id=event_ids[3]).update(parked_at=now)
        [kafka_row, platform_row, *_] = json.loads(status("--json"))["destinations"]
        assert (kafka_row["waiting"], kafka_row["parked"], kafka_row["sent"]) == (2, 1, 3)
        assert 90 <= kafka_row["oldest_waiting_seconds"] < 120
        assert (platform_row["waiting"], platform_row["parked"], platform_row["sent"]) == (6, 0, 0)
        lines = status().splitlines()
        assert lines[1].split()[:4] == ["kafka", "2", "1", "3"]
        assert lines[3].endswith("(switched off)")
