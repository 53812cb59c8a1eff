"""Delivery to a destination: in order, by one dispatcher at a time, with retries."""

import json
import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.embedded.broker import Broker
from commerce.outbox import dispatcher, dispatcher_lock
from commerce.outbox.dispatcher import Dispatcher, Drained, backoff_seconds
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from commerce.outbox.sinks import kafka
from commerce.outbox.sinks.base import Message, Outcomes, sink_of
from commerce.outbox.sinks.kafka import KafkaSink
from tests.outbox.conftest import publish_events, read_topic, unavailable_kafka, waiting
from tests.outbox.partner import Partner
from tests.shop_state import statements
from tests.together import PATIENCE_SECONDS, meanwhile, together, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


MANY_SENT_AND_MANY_WAITING = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
    SELECT 'coupon-issued:' || number, 'coupon-issued', 'thing', (number / 50)::text,
           CASE WHEN number / 3 * 3 = number THEN 'data-platform' ELSE 'kafka' END,
           repeat('x', 700), CASE WHEN number < 20000 THEN now() END
    FROM generate_series(1, 26000) AS number
"""


def due_now(destination: str) -> None:
    """End the backoff of all messages."""
    OutboxMessage.objects.filter(destination=destination).update(next_attempt_at=timezone.now())


def ids_of(records: Sequence[Any]) -> list[str]:
    return [json.loads(record.value)["id"] for record in records]


def publish_to_data_platform(times: int = 1) -> list[str]:
    return publish_events(event_type="order-completed", times=times)


class TestOrder:
    """Order of delivery."""

    def test_messages_of_one_user_arrive_in_order(self, settings: Settings) -> None:
        settings.OUTBOX_BATCH_SIZE = 7
        event_ids: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for number in range(60):
            event_ids[number % 3 + 1] += publish_events(user_id=number % 3 + 1)
        assert Dispatcher(KAFKA).drain() == Drained(sent=60)
        records = read_topic("coupon-issued", at_least=60)
        assert len(records) == 60
        for user_id, ids in event_ids.items():
            assert ids_of([record for record in records if record.key == str(user_id)]) == ids
        assert waiting(KAFKA) == []

    def test_a_late_commit_of_an_earlier_id_is_sent_too(self) -> None:
        """Ids are assigned before COMMIT, so a lower one may become visible after a higher one was sent."""
        [first], [second] = publish_events(), publish_events()
        OutboxMessage.objects.filter(event_id=first).update(sent_at=timezone.now())
        assert Dispatcher(KAFKA).drain().sent == 1
        OutboxMessage.objects.filter(event_id=first).update(sent_at=None)
        assert Dispatcher(KAFKA).drain().sent == 1
        assert sorted(ids_of(read_topic("coupon-issued", at_least=2))) == sorted([first, second])

    def in_trouble(self) -> tuple[str, str]:
        """Messages: the first of two of user 1 waits for a retry; one of user 2."""
        [failed], [later], [other] = publish_events(user_id=1), publish_events(user_id=1), publish_events(user_id=2)
        soon = timezone.now() + timedelta(seconds=30)
        OutboxMessage.objects.filter(event_id=failed).update(attempts=1, next_attempt_at=soon)
        Dispatcher(KAFKA).drain()
        return later, other

    def test_a_failed_message_holds_back_only_its_users_messages(self) -> None:
        later, other = self.in_trouble()
        assert ids_of(read_topic("coupon-issued", at_least=1)) == [other]
        due_now(KAFKA)
        assert Dispatcher(KAFKA).drain().sent == 2
        kept = [record for record in read_topic("coupon-issued", at_least=3) if record.key == "1"]
        assert ids_of(kept)[-1] == later

    def test_control_without_holding_back_a_later_one_overtakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatcher, "DUE_IN_ORDER", dispatcher.DUE)
        later, other = self.in_trouble()
        assert sorted(ids_of(read_topic("coupon-issued", at_least=2))) == sorted([later, other])


class MeetingSink(KafkaSink):
    """A Kafka sink that waits until two dispatchers have read a batch."""

    meeting = Barrier(2)

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        self.meeting.wait(timeout=PATIENCE_SECONDS)
        return super().deliver(messages)


MEETING = {KAFKA: f"{__name__}.MeetingSink"}


class TestOneAtATime:
    """Two dispatchers, in two processes or in one."""

    def test_two_dispatchers_send_each_message_once(self, settings: Settings) -> None:
        settings.OUTBOX_BATCH_SIZE = 5
        event_ids = [event_id for user_id in range(1, 11) for event_id in publish_events(user_id=user_id, times=10)]
        dispatchers = [Dispatcher(KAFKA) for _ in range(4)]
        drained = together([one.drain for one in dispatchers])
        assert sum(one.sent for one in drained) + sum(Dispatcher(KAFKA).drain().sent for _ in range(2)) == 100
        records = read_topic("coupon-issued", at_least=100)
        assert sorted(ids_of(records)) == sorted(event_ids)
        for user_id in range(1, 11):
            sent = ids_of([record for record in records if record.key == str(user_id)])
            assert sent == [event_id for event_id in event_ids if event_id in sent]

    def test_without_the_lock_both_send_the_same(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatcher_lock, "TRY_LOCK", "SELECT %s <> ''")
        settings.EVENT_SINKS = f"{__name__}.MEETING"
        sink_of.cache_clear()
        try:
            event_ids = publish_events(times=3)
            assert [one.sent for one in together([Dispatcher(KAFKA).drain, Dispatcher(KAFKA).drain])] == [3, 3]
        finally:
            sink_of.cache_clear()
        assert sorted(ids_of(read_topic("coupon-issued", at_least=6))) == sorted(event_ids * 2)

    def test_the_second_dispatcher_does_nothing_and_reports_it(self, partner: Partner) -> None:
        publish_to_data_platform()
        partner.hold = hold = Event()
        with meanwhile(Dispatcher(DATA_PLATFORM).drain) as first:
            wait_until(lambda: partner.calls, "the first dispatcher's call")
            assert Dispatcher(DATA_PLATFORM).drain() == Drained(elsewhere=True)
            hold.set()
            assert first.result(timeout=PATIENCE_SECONDS) == Drained(sent=1)
        assert Dispatcher(DATA_PLATFORM).drain() == Drained()

    def test_one_destination_does_not_wait_for_another(self, partner: Partner) -> None:
        publish_to_data_platform()
        partner.hold = hold = Event()
        with meanwhile(Dispatcher(DATA_PLATFORM).drain) as slow:
            wait_until(lambda: partner.calls, "the slow call")
            assert Dispatcher(KAFKA).drain() == Drained(sent=1)
            hold.set()
            assert slow.result(timeout=PATIENCE_SECONDS) == Drained(sent=1)

    def test_no_snapshot_is_kept_while_the_network_is_used(self, partner: Partner) -> None:
        """The transaction that holds the lock has no snapshot, so it does not block vacuum."""
        publish_to_data_platform()
        partner.hold = hold = Event()
        with meanwhile(Dispatcher(DATA_PLATFORM).drain) as drain:
            wait_until(lambda: partner.calls, "the call")
            rows = sql.fetch_all(
                "SELECT application_name, backend_xid IS NULL AND backend_xmin IS NULL FROM pg_stat_activity"
                " WHERE datname = current_database() AND state = 'idle in transaction'"
            )
            assert rows == [(dispatcher_lock.APPLICATION_NAME, True)]
            hold.set()
            drain.result(timeout=PATIENCE_SECONDS)

    def test_a_drain_inside_a_transaction_is_an_error(self) -> None:
        with transaction.atomic(), pytest.raises(RuntimeError, match="no transaction"):
            Dispatcher(KAFKA).drain()

    def test_after_losing_the_lock_no_batch_is_started(self, settings: Settings, partner: Partner) -> None:
        publish_to_data_platform(times=3)
        settings.OUTBOX_BATCH_SIZE = 1
        partner.hold = hold = Event()
        with meanwhile(Dispatcher(DATA_PLATFORM).drain) as drain:
            wait_until(lambda: partner.calls, "the first call")
            sql.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
                [dispatcher_lock.APPLICATION_NAME],
            )
            hold.set()
            assert drain.result(timeout=PATIENCE_SECONDS) == Drained(sent=1)
        assert len(waiting(DATA_PLATFORM)) == 2

    def test_a_frozen_dispatcher_loses_the_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatcher_lock, "_SPARE_SECONDS", 0.1)
        monkeypatch.setattr(configured, "DATA_PLATFORM_TIMEOUT_SECONDS", 0.0)
        with dispatcher_lock.sole_dispatcher(KAFKA) as lock:
            assert lock is not None
            publish_events()
            wait_until(lambda: Dispatcher(KAFKA).drain() == Drained(sent=1), "another dispatcher to have it")
            assert not lock.is_held()

    def test_closing_the_connection_releases_the_lock(self) -> None:
        """A killed dispatcher leaves no lock behind."""

        def die() -> None:
            with dispatcher_lock.sole_dispatcher(KAFKA) as lock:
                assert lock
                raise KeyboardInterrupt

        publish_events()
        with pytest.raises(KeyboardInterrupt):
            die()
        # The server ends the session shortly after the connection is closed.
        wait_until(lambda: Dispatcher(KAFKA).drain() == Drained(sent=1), "the lock to be gone")


class TestFailures:
    """Retries and their times."""

    def test_messages_wait_for_the_broker_to_recover(self) -> None:
        event_ids = publish_events(times=3)
        dispatcher = Dispatcher(KAFKA)
        with unavailable_kafka():
            assert dispatcher.drain() == Drained(failed=3)
        rows = waiting(KAFKA)
        assert [row.event_id for row in rows] == event_ids
        assert {row.attempts for row in rows} == {1}
        assert all("transport" in row.last_error for row in rows)
        assert dispatcher.pause_seconds() > 0
        due_now(KAFKA)
        assert Dispatcher(KAFKA).drain() == Drained(sent=3)
        assert ids_of(read_topic("coupon-issued", at_least=3)) == event_ids

    def test_a_paused_broker_gets_everything_in_order_later(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kafka, "DELIVERY_SECONDS", 1.0)
        broker = Broker(tmp_path, logs=tmp_path)
        broker.start()
        try:
            settings.KAFKA_BOOTSTRAP_SERVERS = broker.bootstrap_servers
            event_ids = publish_events(times=2)
            assert Dispatcher(KAFKA).drain() == Drained(sent=2)
            broker_id = broker.child.pid
            assert broker_id is not None
            os.kill(broker_id, signal.SIGSTOP)
            event_ids += publish_events(times=3)
            assert Dispatcher(KAFKA).drain() == Drained(failed=3)
            event_ids += publish_events(times=2)
            os.kill(broker_id, signal.SIGCONT)
            due_now(KAFKA)
            wait_until(lambda: Dispatcher(KAFKA).drain().failed == 0 and not waiting(KAFKA), "the rest to leave")
            arrived = ids_of(read_topic("coupon-issued", at_least=7))
        finally:
            broker.child.kill()
        assert list(dict.fromkeys(arrived)) == event_ids

    def test_an_outage_of_kafka_parks_nothing(self) -> None:
        publish_events()
        OutboxMessage.objects.update(attempts=1_000)
        with unavailable_kafka():
            Dispatcher(KAFKA).drain()
        [row] = waiting(KAFKA)
        assert row.attempts == 1_001
        assert timedelta(0) < row.next_attempt_at - timezone.now() < timedelta(seconds=5)

    def test_an_unavailable_broker_is_not_called_for_a_while(self) -> None:
        publish_events(user_id=1)
        dispatcher = Dispatcher(KAFKA)
        with unavailable_kafka():
            dispatcher.drain()
        publish_events(user_id=2)
        with statements() as ran:
            assert dispatcher.drain() == Drained()
        assert ran == []

    def test_an_unavailable_destination_fails_one_batch_only(self, settings: Settings) -> None:
        settings.OUTBOX_BATCH_SIZE = 2
        for user_id in range(6):
            publish_events(user_id=user_id)
        with unavailable_kafka():
            assert Dispatcher(KAFKA).drain() == Drained(failed=2)
        assert [row.attempts for row in waiting(KAFKA)] == [1, 1, 0, 0, 0, 0]

    def test_a_message_refused_by_the_broker_is_parked_at_once(self) -> None:
        [before], [huge], [after] = publish_events(), publish_events(text="x" * 2_000_000), publish_events()
        assert Dispatcher(KAFKA).drain() == Drained(sent=2, failed=1)
        parked = OutboxMessage.objects.get(event_id=huge)
        assert parked.parked_at is not None
        assert "MSG_SIZE_TOO_LARGE" in parked.last_error
        assert ids_of(read_topic("coupon-issued", at_least=2)) == [before, after]

    def test_a_server_error_is_retried_later(self, partner: Partner) -> None:
        [event_id] = publish_to_data_platform()
        partner.status = 500
        assert Dispatcher(DATA_PLATFORM).drain() == Drained(failed=1)
        [row] = waiting(DATA_PLATFORM)
        assert (row.attempts, row.last_error) == (1, "HTTP 500: ok")
        assert timedelta(0) < row.next_attempt_at - timezone.now() <= timedelta(seconds=0.5)
        due_now(DATA_PLATFORM)
        partner.status = 200
        assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=1)
        assert partner.keys == [event_id, event_id]
        assert waiting(DATA_PLATFORM) == []

    def test_a_message_that_is_not_due_is_not_sent(self, partner: Partner) -> None:
        publish_to_data_platform()
        OutboxMessage.objects.update(next_attempt_at=timezone.now() + timedelta(seconds=30))
        assert Dispatcher(DATA_PLATFORM).drain() == Drained()
        assert partner.calls == []

    def test_a_message_is_parked_after_its_last_attempt(self, partner: Partner, settings: Settings) -> None:
        settings.OUTBOX_MAX_ATTEMPTS = 3
        [event_id] = publish_to_data_platform()
        partner.status = 500
        for attempts in (1, 2, 3):
            due_now(DATA_PLATFORM)
            assert Dispatcher(DATA_PLATFORM).drain() == Drained(failed=1)
            row = OutboxMessage.objects.get(event_id=event_id, destination=DATA_PLATFORM)
            assert (row.attempts, row.parked_at is not None) == (attempts, attempts == 3)
        due_now(DATA_PLATFORM)
        assert Dispatcher(DATA_PLATFORM).drain() == Drained()
        assert len(partner.calls) == 3

    def test_retry_after_is_respected(self, partner: Partner) -> None:
        publish_to_data_platform()
        partner.status, partner.headers = 429, {"Retry-After": "40"}
        Dispatcher(DATA_PLATFORM).drain()
        [row] = waiting(DATA_PLATFORM)
        assert timedelta(seconds=38) < row.next_attempt_at - timezone.now() <= timedelta(seconds=40)

    def test_one_failed_message_does_not_stop_the_others(self, partner: Partner) -> None:
        event_ids = publish_to_data_platform(times=40)
        OutboxMessage.objects.filter(event_id=event_ids[0]).update(attempts=F("attempts") + 1)
        assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=40)
        assert sorted(partner.keys) == sorted(event_ids)

    def test_a_response_with_nul_is_recorded(self, partner: Partner) -> None:
        publish_to_data_platform()
        partner.status, partner.body = 500, b"\0\xff" * 5_000
        Dispatcher(DATA_PLATFORM).drain()
        [row] = waiting(DATA_PLATFORM)
        assert row.last_error.startswith("HTTP 500: \ufffd\ufffd")

    def test_waits_double_up_to_their_limit(self) -> None:
        for failures, longest in ((0, 0.5), (1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (1_000, 60.0)):
            waits = [backoff_seconds(failures, longest_seconds=60.0) for _ in range(50)]
            assert longest / 2 <= min(waits) < max(waits) <= longest

    @pytest.mark.parametrize("statement", [dispatcher.DUE, dispatcher.DUE_IN_ORDER], ids=["any order", "in order"])
    def test_a_backlog_is_found_without_reading_sent_messages(self, statement: str) -> None:
        """After an outage the planner knows that many messages wait, but not that they are the newest."""
        sql.execute(MANY_SENT_AND_MANY_WAITING)
        sql.execute("ANALYZE outbox_message")
        plan = sql.fetch_all(f"EXPLAIN {statement}", {"destination": KAFKA, "limit": 500})
        assert any("outbox_message_waiting" in line for [line] in plan)
        by_key = statement.replace("BETWEEN %(destination)s AND %(destination)s", "= %(destination)s")
        plan = sql.fetch_all(f"EXPLAIN {by_key}", {"destination": KAFKA, "limit": 500})
        assert any("outbox_message_pkey" in line for [line] in plan), "the control no longer shows anything"

    def test_a_batch_is_marked_by_one_statement(self) -> None:
        publish_events(times=30)
        with statements() as ran:
            assert Dispatcher(KAFKA).drain() == Drained(sent=30)
        assert [statement.split()[0] for statement in ran] == ["WITH", "UPDATE", "WITH"]
