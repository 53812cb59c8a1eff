"""`purge_outbox` and the relay's purge: deletes old sent messages, oldest first, and nothing else."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.invariants.check import invariants, violation_of
from commerce.outbox import purge
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.purge import HourlyPurge, Purged, purge_outbox
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from tests.operations.busy_shop import busy_shop
from tests.outbox.conftest import publish_events
from tests.outbox.manage import call, managed, run
from tests.together import PATIENCE_SECONDS, another_session, meanwhile, together, wait_until, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

MANY_SENT = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
    SELECT 'coupon-issued:' || number, 'coupon-issued', 'thing', '1', 'kafka', 'x', now() - number * interval '1 second'
    FROM generate_series(1, 20000) AS number
"""


def sent(count: int, *, hours_ago: float) -> list[str]:
    """Sent events to Kafka and to the data platform; each was sent a second before the previous one."""
    event_ids = publish_events(event_type="order-completed", times=count)
    for number, event_id in enumerate(event_ids):
        sent_at = timezone.now() - timedelta(hours=hours_ago, seconds=number)
        OutboxMessage.objects.filter(event_id=event_id).update(sent_at=sent_at)
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            message=message,
            destination=DATA_PLATFORM,
            attempted_at=message.sent_at or timezone.now(),
            duration_ms=5,
            http_status=200,
            outcome="acknowledged",
        )
        for message in OutboxMessage.objects.filter(event_id__in=event_ids, destination=DATA_PLATFORM)
    )
    return event_ids


def kept(destination: str = KAFKA) -> list[str]:
    messages = OutboxMessage.objects.filter(destination=destination)
    return list(messages.order_by("id").values_list("event_id", flat=True))


def purged(*, older_than_hours: float = 168) -> Purged:
    return purge_outbox(now=timezone.now(), older_than_hours=older_than_hours)


def broken() -> dict[str, Sequence[str]]:
    found = [violation_of(invariant) for invariant in invariants(quiet_system=True)]
    return {violation.invariant.name: violation.examples for violation in found if violation}


class TestWhat:
    """Deleted and remaining messages."""

    def test_old_messages_are_deleted_with_their_log(self) -> None:
        sent(3, hours_ago=169)
        young = sent(2, hours_ago=167)
        assert purged() == Purged(messages=6, attempts=3)
        assert kept() == kept(DATA_PLATFORM) == young
        assert set(DeliveryAttempt.objects.values_list("message__event_id", flat=True)) == set(young)
        assert purged() == Purged()

    def test_waiting_and_parked_messages_stay(self) -> None:
        waiting, parked, again = publish_events(times=3)
        long_ago = timezone.now() - timedelta(days=400)
        OutboxMessage.objects.update(created_at=long_ago, next_attempt_at=long_ago)
        OutboxMessage.objects.filter(event_id=parked).update(parked_at=long_ago, attempts=12)
        OutboxMessage.objects.filter(event_id=again).update(attempts=3)
        assert purged(older_than_hours=0) == Purged()
        assert kept() == [waiting, parked, again]

    def test_it_stops_between_two_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purge, "BATCH_SIZE", 2)
        sent(3, hours_ago=200)
        done: list[int] = []
        answers = iter([False, False, True])
        purge_outbox(now=timezone.now(), older_than_hours=168, stopping=lambda: next(answers), on_batch=done.append)
        assert done == [2, 2]
        assert OutboxMessage.objects.count() == 2


class TestOrder:
    """Messages are deleted in order of their delivery."""

    def test_messages_are_deleted_in_the_order_of_sending(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purge, "BATCH_SIZE", 4)
        event_ids = sent(6, hours_ago=200)
        answers = iter([False, True])
        purge_outbox(now=timezone.now(), older_than_hours=168, stopping=lambda: next(answers))
        # The newest events were sent first, each to two destinations.
        assert kept() == kept(DATA_PLATFORM) == event_ids[:4]

    def one_message_purged(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[str]]:
        """The violated invariants after one message of a busy shop is purged."""
        monkeypatch.setattr(purge, "BATCH_SIZE", 1)
        busy_shop()
        answers = iter([False, True])
        purge_outbox(now=timezone.now(), older_than_hours=0, stopping=lambda: next(answers))
        return broken()

    def test_the_invariants_hold_during_a_purge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.one_message_purged(monkeypatch) == {}

    def test_control_in_another_order_they_do_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        newest_first = purge.PURGE.replace("ORDER BY sent_at", "ORDER BY sent_at DESC, destination DESC")
        monkeypatch.setattr(purge, "PURGE", newest_first)
        assert list(self.one_message_purged(monkeypatch)) == ["facts_have_messages"]

    def test_the_oldest_are_found_by_an_index(self) -> None:
        sql.execute(MANY_SENT)
        sql.execute("ANALYZE outbox_message")
        plan = sql.fetch_all(f"EXPLAIN {purge.PURGE}", {"before": timezone.now(), "limit": purge.BATCH_SIZE})
        assert any("outbox_message_sent" in line for [line] in plan)


class TestAtOnce:
    """Concurrent purges."""

    def test_four_concurrent_purges_delete_everything_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purge, "BATCH_SIZE", 3)
        sent(20, hours_ago=200)
        results = together([purged] * 4)
        assert sum(one.messages for one in results) == 40
        assert sum(one.attempts for one in results) == 20
        assert kept() == []

    def test_concurrent_batches_wait_for_each_other(self) -> None:
        sent(2, hours_ago=200)
        with another_session() as other:
            other.execute(purge.TAKE_TURN)
            with meanwhile(purged) as late:
                wait_until_blocked()
                assert len(kept()) == 2
                other.rollback()
                assert late.result(timeout=PATIENCE_SECONDS).messages == 4

    def test_a_message_being_resent_is_kept_with_its_log(self) -> None:
        [event_id] = sent(1, hours_ago=200)
        with another_session() as staff:
            staff.execute("UPDATE outbox_message SET sent_at = NULL WHERE destination = 'data-platform'")
            with meanwhile(purged) as late:
                wait_until_blocked()
                staff.commit()
                late.result(timeout=PATIENCE_SECONDS)
        assert kept(DATA_PLATFORM) == [event_id]
        assert DeliveryAttempt.objects.count() == 1


class TestCommand:
    """`manage.py purge_outbox`."""

    def test_it_reports_in_words(self) -> None:
        sent(3, hours_ago=200)
        done = run("purge_outbox")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "6 messages and 3 delivery attempts purged\n"
        assert kept() == []

    def test_it_reports_in_one_line_of_json_and_may_be_repeated(self) -> None:
        sent(3, hours_ago=2)
        arguments = ("purge_outbox", "--older-than-hours", "1.5", "--json")
        assert json.loads(call(*arguments).stdout) == {"older_than_hours": 1.5, "messages": 6, "attempts": 3}
        assert json.loads(call(*arguments).stdout) == {"older_than_hours": 1.5, "messages": 0, "attempts": 0}

    @pytest.mark.parametrize("hours", ["-1", "nan", "inf", "soon"])
    def test_2_for_an_invalid_age(self, hours: str) -> None:
        sent(1, hours_ago=200)
        assert call("purge_outbox", "--older-than-hours", hours).returncode == 2
        assert len(kept()) == 1

    def test_2_without_a_retention(self, settings: Settings) -> None:
        sent(1, hours_ago=200)
        settings.OUTBOX_RETENTION_HOURS = 0
        done = call("purge_outbox")
        assert done.returncode == 2
        assert "Set --older-than-hours" in done.stderr
        assert len(kept()) == 1


class TestRelay:
    """`relay_outbox` also purges."""

    def test_it_purges_when_it_starts(self) -> None:
        sent(2, hours_ago=200)
        young = sent(1, hours_ago=1)
        with managed("relay_outbox") as relay:
            wait_until(lambda: kept() == young, "the old ones to be purged")
            assert relay.stop() == 0
            assert relay.printed("Purged 4 messages and 2 delivery attempts")

    def test_once_an_hour(self) -> None:
        hourly = HourlyPurge()
        for _ in range(2):
            sent(1, hours_ago=200)
            hourly.run_if_due(stopping=lambda: False)
            assert kept() == []
            hourly._next_at -= purge.HOUR_SECONDS
        hourly.run_if_due(stopping=lambda: False)
        sent(1, hours_ago=200)
        hourly.run_if_due(stopping=lambda: False)
        assert len(kept()) == 1

    def test_never_with_a_retention_of_0(self, settings: Settings) -> None:
        sent(1, hours_ago=10_000)
        settings.OUTBOX_RETENTION_HOURS = 0
        HourlyPurge().run_if_due(stopping=lambda: False)
        assert len(kept()) == 1

    def test_it_survives_a_database_outage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sent(1, hours_ago=200)
        hourly = HourlyPurge()
        with monkeypatch.context() as broken_statement:
            broken_statement.setattr(purge, "TAKE_TURN", "SELECT pg_terminate_backend(pg_backend_pid())")
            hourly.run_if_due(stopping=lambda: False)
        assert len(kept()) == 1
        hourly._next_at -= 3_600
        hourly.run_if_due(stopping=lambda: False)
        assert kept() == []
