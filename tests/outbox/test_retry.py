"""`outbox_retry`: queueing parked messages again, by name or all."""

import json

import pytest
from django.utils import timezone

from commerce.outbox import resend
from commerce.outbox.models import OutboxMessage
from commerce.outbox.resend import retry_parked, send_again
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from tests.outbox.conftest import publish_events
from tests.outbox.manage import call, run
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def parked(count: int) -> list[str]:
    """Events whose messages to both destinations are parked."""
    event_ids = publish_events(event_type="order-completed", times=count)
    OutboxMessage.objects.filter(event_id__in=event_ids).update(
        parked_at=timezone.now(), attempts=12, last_error="HTTP 500: ok"
    )
    return event_ids


def still_parked(destination: str) -> list[str]:
    messages = OutboxMessage.objects.filter(destination=destination, parked_at__isnull=False)
    return list(messages.order_by("id").values_list("event_id", flat=True))


def test_a_message_is_queued_like_a_new_one() -> None:
    parked(1)
    assert retry_parked() == 2
    for message in OutboxMessage.objects.all():
        assert (message.attempts, message.parked_at, message.sent_at) == (0, None, None)
        assert message.next_attempt_at <= timezone.now()
        assert message.last_error == "HTTP 500: ok"


def test_other_messages_are_unchanged() -> None:
    waiting, sent = publish_events(times=2)
    OutboxMessage.objects.filter(event_id=sent).update(sent_at=timezone.now(), attempts=1)
    OutboxMessage.objects.filter(event_id=waiting).update(attempts=4)
    before = list(OutboxMessage.objects.order_by("id").values())
    assert retry_parked() == 0
    assert list(OutboxMessage.objects.order_by("id").values()) == before


def test_batches_queue_each_message_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "BATCH_SIZE", 3)
    parked(4)
    batches: list[int] = []
    assert retry_parked(on_batch=batches.append) == 8
    assert batches == [3, 3, 2]


def test_a_message_parked_again_meanwhile_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "BATCH_SIZE", 1)
    parked(2)

    def park_all(_count: int) -> None:
        OutboxMessage.objects.update(parked_at=timezone.now())

    assert retry_parked(on_batch=park_all) == 4


def test_four_concurrent_runs_queue_each_message_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "BATCH_SIZE", 2)
    parked(15)
    assert sum(together([retry_parked] * 4)) == 30
    assert still_parked(KAFKA) == still_parked(DATA_PLATFORM) == []


class TestSendAgain:
    """Selected messages, including sent ones of destinations without order."""

    def test_only_the_data_platform_gets_sent_messages_again(self) -> None:
        [event_id] = publish_events(event_type="order-completed")
        OutboxMessage.objects.update(sent_at=timezone.now(), attempts=1)
        everything = list(OutboxMessage.objects.values_list("id", flat=True))
        assert send_again(everything, by=None) == [DATA_PLATFORM]
        unsent = OutboxMessage.objects.get(sent_at=None)
        assert (unsent.event_id, unsent.destination, unsent.attempts) == (event_id, DATA_PLATFORM, 0)
        assert send_again(everything, by=None) == []

    def test_the_button_is_shown_exactly_for_such_messages(self) -> None:
        publish_events(event_type="order-completed", times=3)
        for destination in (KAFKA, DATA_PLATFORM):
            sent, dead, _waiting = OutboxMessage.objects.filter(destination=destination).order_by("id")
            OutboxMessage.objects.filter(pk=sent.pk).update(sent_at=timezone.now())
            OutboxMessage.objects.filter(pk=dead.pk).update(parked_at=timezone.now())
        for message in OutboxMessage.objects.all():
            assert message.may_go_again == bool(send_again([message.pk], by=None))


class TestCommand:
    """Arguments, report and exit code."""

    def test_all_of_them(self) -> None:
        parked(3)
        done = run("outbox_retry", "--all-parked", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == {"put_back": 6}
        again = call("outbox_retry", "--all-parked")
        assert (again.returncode, again.stdout) == (0, "0 messages are queued again\n")

    def test_those_of_one_destination(self) -> None:
        event_ids = parked(2)
        assert json.loads(call("outbox_retry", "--all-parked", "--destination", "kafka", "--json").stdout) == {
            "put_back": 2
        }
        assert (still_parked(KAFKA), still_parked(DATA_PLATFORM)) == ([], event_ids)

    def test_named_messages(self) -> None:
        first, second, third = parked(3)
        number = third.rpartition(":")[0]
        done = call("outbox_retry", "--event-id", first, "--event-id", number, "--destination", "data-platform")
        assert (done.returncode, done.stdout) == (0, "2 messages are queued again\n")
        assert still_parked(DATA_PLATFORM) == [second]
        assert still_parked(KAFKA) == [first, second, third]

    def test_1_when_a_named_message_is_not_parked(self) -> None:
        [event_id] = publish_events()
        done = call("outbox_retry", "--event-id", event_id, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (1, {"put_back": 0})
        assert f"No parked message of {event_id}." in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--destination", "kafka"],
            ["--all-parked", "--event-id", "order-completed:1"],
            ["--all-parked", "--destination", "elsewhere"],
        ],
    )
    def test_2_without_a_choice(self, arguments: list[str]) -> None:
        event_ids = parked(1)
        assert call("outbox_retry", *arguments).returncode == 2
        assert still_parked(KAFKA) == event_ids
