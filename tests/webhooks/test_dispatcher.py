"""The dispatcher of webhook subscriptions: isolation, retries, switching off, races."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.core.locks import locked_transaction
from commerce.outbox import webhook_dispatcher
from commerce.outbox.dispatcher import Drained
from commerce.outbox.dispatcher_thread import DispatcherThread
from commerce.outbox.models import DeliveryAttempt, EndReason, OutboxMessage, WebhookSubscription
from commerce.outbox.publish import Event, publish
from commerce.outbox.purge import purge_outbox
from commerce.outbox.resend import send_again
from commerce.outbox.routes import WEBHOOKS
from commerce.outbox.sinks.webhooks import new_secret
from commerce.outbox.webhook_dispatcher import FAILURES_BEFORE_PAUSE, WebhookDispatcher
from tests.books import broken_rules
from tests.outbox.conftest import publish_events
from tests.together import PATIENCE_SECONDS, meanwhile, together, wait_until
from tests.webhooks import receiver as behaviours
from tests.webhooks.conftest import subscribe
from tests.webhooks.receiver import Receiver, respond_with

pytestmark = pytest.mark.django_db(transaction=True)

PROMPT_SECONDS = 5.0
MADE_UP = {"events_have_facts"}
"""Test events without a fact."""


def messages_to(webhook: WebhookSubscription) -> Any:
    return OutboxMessage.objects.filter(subscription=webhook).order_by("id")


def waiting_for(webhook: WebhookSubscription) -> int:
    count: int = messages_to(webhook).filter(sent_at=None, parked_at=None).count()
    return count


def due_now(webhook: WebhookSubscription) -> None:
    """End the backoff of all messages and subscriptions."""
    messages_to(webhook).update(next_attempt_at=timezone.now())
    WebhookSubscription.objects.filter(pk=webhook.pk).update(next_call_at=timezone.now())


def fails_after_publishing() -> None:
    with locked_transaction() as unit:
        publish(unit, Event("coupon-issued", 1, "thing", 1, timezone.now(), {}))
        raise ZeroDivisionError


@contextmanager
def relay() -> Iterator[None]:
    """Deliver webhooks once, as `relay_outbox` does."""
    thread = DispatcherThread(WEBHOOKS, poll_seconds=0.05)
    thread.start()
    try:
        yield
    finally:
        thread.ask_to_stop()
        thread.join(PATIENCE_SECONDS)


class TestWhoGetsWhat:
    """Messages are written with the fact, one for each active subscription to its type."""

    def test_an_event_is_sent_to_subscriptions_of_its_type(self, receivers: Callable[[], Receiver]) -> None:
        coupons, orders, both, off = (receivers() for _ in range(4))
        subscribe(coupons.url, "coupon-issued")
        subscribe(orders.url, "order-completed")
        subscribe(both.url, "coupon-issued", "order-completed")
        subscribe(off.url, is_active=False, ended_for=EndReason.STAFF, ended_at=timezone.now())
        issued, completed = publish_events(), publish_events(event_type="order-completed")
        assert WebhookDispatcher().drain() == Drained(sent=4)
        assert coupons.ids == issued
        assert orders.ids == completed
        assert sorted(both.ids) == sorted(issued + completed)
        assert off.connections == 0

    def test_each_subscription_has_its_own_signature(self, receivers: Callable[[], Receiver]) -> None:
        pairs = [(receiver, subscribe(receiver.url)) for receiver in (receivers(), receivers())]
        [event_id] = publish_events(text="누구")
        WebhookDispatcher().drain()
        for receiver, webhook in pairs:
            event = receiver.deliveries[0].event(webhook.secret)
            assert (event["id"], event["data"]) == (event_id, {"text": "누구"})

    def test_other_destinations_get_no_extra_messages(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events()
        found = OutboxMessage.objects.values_list("destination", "subscription_id")
        assert sorted(found) == [("kafka", None), ("webhooks", webhook.pk)]

    def test_nothing_is_written_for_a_rollback(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        with pytest.raises(ZeroDivisionError):
            fails_after_publishing()
        assert messages_to(webhook).count() == 0

    def test_the_previous_secret_signs_until_it_expires(self, receiver: Receiver) -> None:
        soon, before = timezone.now() + timedelta(hours=1), timezone.now() - timedelta(seconds=1)
        webhook = subscribe(receiver.url, previous_secret=new_secret(), previous_secret_until=soon)
        publish_events()
        WebhookDispatcher().drain()
        webhook.previous_secret_until = before
        webhook.save()
        publish_events()
        WebhookDispatcher().drain()
        counts = [len(delivery.headers["webhook-signature"].split()) for delivery in receiver.deliveries]
        assert counts == [2, 1]


class TestNobodyDelaysAnother:
    """While one receiver fails in each of these ways, another one gets all events at once."""

    @pytest.mark.parametrize(
        "behaviour",
        ["hangs", "hang_in_body", "send_endless_head", "resets", "closes", "send_invalid_http", "huge", "slow"],
    )
    def test_a_neighbour_is_not_delayed(
        self, receivers: Callable[[], Receiver], settings: Settings, behaviour: str
    ) -> None:
        settings.WEBHOOK_TIMEOUT_SECONDS = 20.0
        bad, good = receivers(), receivers()
        bad.answer = _behaviour(bad, behaviour)
        subscribe(bad.url)
        subscribe(good.url)
        publish_events(times=3)
        with relay():
            wait_until(lambda: bad.connections > 0, "a call to the bad one")
            began = time.monotonic()
            later = publish_events(times=5)
            wait_until(lambda: set(later) <= set(good.ids), "the events at the good one")
            assert time.monotonic() - began < PROMPT_SECONDS
            bad.at_work = False

    def test_many_hanging_ones_do_not_delay_another(
        self, receivers: Callable[[], Receiver], settings: Settings
    ) -> None:
        settings.WEBHOOK_TIMEOUT_SECONDS = 20.0
        bad, good = [receivers() for _ in range(20)], receivers()
        for receiver in bad:
            receiver.answer = behaviours.hangs(receiver)
            subscribe(receiver.url)
        subscribe(good.url)
        publish_events(times=12)
        with relay():
            wait_until(lambda: all(receiver.connections for receiver in bad), "a call to each")
            began = time.monotonic()
            later = publish_events(times=5)
            wait_until(lambda: set(later) <= set(good.ids), "the events at the good one")
            assert time.monotonic() - began < PROMPT_SECONDS
            for receiver in bad:
                receiver.at_work = False

    def test_control_with_one_thread_it_is_delayed(
        self, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        settings.WEBHOOK_TIMEOUT_SECONDS = 2.0
        monkeypatch.setattr(webhook_dispatcher, "MOST_SUBSCRIPTIONS", 1)
        monkeypatch.setattr(webhook_dispatcher, "CALLS_AT_ONCE", 1)
        bad, good = receivers(), receivers()
        bad.answer = behaviours.hangs(bad)
        subscribe(bad.url)
        subscribe(good.url)
        publish_events(times=1)
        with relay():
            wait_until(lambda: bad.connections > 0, "a call to the bad one")
            began = time.monotonic()
            wait_until(lambda: good.connections > 0, "the events at the good one")
            assert time.monotonic() - began > 1.5, "the good one waited until the bad one had run into its limit"


def _behaviour(receiver: Receiver, name: str) -> behaviours.Answer:
    if name == "huge":
        return behaviours.send_endless_body(receiver, status=500)
    if name == "slow":

        def slow(connection: Any) -> bool:
            threading.Event().wait(1.0)
            return respond_with(200)(connection)

        return slow
    if name in ("resets", "closes", "send_invalid_http"):
        plain: behaviours.Answer = getattr(behaviours, name)
        return plain
    made: behaviours.Answer = getattr(behaviours, name)(receiver)
    return made


class TestFailures:
    """Retries, and parked messages."""

    def test_a_failure_is_retried_with_the_same_id_and_logged(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        [event_id] = publish_events()
        receiver.answer = respond_with(500, b"later")
        assert WebhookDispatcher().drain() == Drained(failed=1)
        [message] = messages_to(webhook)
        assert (message.attempts, message.last_error, message.parked_at) == (1, "HTTP 500: later", None)
        assert message.next_attempt_at > timezone.now()
        receiver.answer = respond_with(200)
        due_now(webhook)
        assert WebhookDispatcher().drain() == Drained(sent=1)
        assert receiver.ids == [event_id, event_id]
        log = DeliveryAttempt.objects.filter(subscription=webhook).order_by("id")
        assert [(each.http_status, each.outcome, each.error) for each in log] == [
            (500, "refused", "HTTP 500: later"),
            (200, "acknowledged", ""),
        ]

    def test_after_three_days_a_message_is_parked(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events(times=2)
        receiver.answer = respond_with(400)
        first, second = messages_to(webhook)
        messages_to(webhook).filter(pk=first.pk).update(created_at=timezone.now() - timedelta(hours=73))
        messages_to(webhook).filter(pk=second.pk).update(created_at=timezone.now() - timedelta(hours=71))
        WebhookDispatcher().drain()
        assert [message.parked_at is not None for message in messages_to(webhook)] == [True, False]

    def test_a_resent_message_is_retried_for_three_days_again(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events()
        old = timezone.now() - timedelta(days=10)
        messages_to(webhook).update(created_at=old, parked_at=timezone.now())
        assert send_again([messages_to(webhook)[0].pk], by=None) == [WEBHOOKS]
        receiver.answer = respond_with(400)
        WebhookDispatcher().drain()
        assert messages_to(webhook)[0].parked_at is None

    def test_a_delivered_message_may_be_sent_again(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        [event_id] = publish_events()
        WebhookDispatcher().drain()
        send_again([messages_to(webhook)[0].pk], by=None)
        WebhookDispatcher().drain()
        assert receiver.ids == [event_id, event_id]

    def test_a_failing_one_is_paused_and_then_probed(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events(times=40)
        receiver.answer = respond_with(503)
        for _ in range(FAILURES_BEFORE_PAUSE):
            WebhookDispatcher().drain()
            WebhookSubscription.objects.filter(pk=webhook.pk).update(next_call_at=timezone.now())
        webhook.refresh_from_db()
        assert webhook.failures >= FAILURES_BEFORE_PAUSE
        assert webhook.failing_since is not None
        calls = len(receiver.deliveries)
        assert calls <= FAILURES_BEFORE_PAUSE * webhook_dispatcher.CALLS_AT_ONCE * 2
        due_now(webhook)
        WebhookDispatcher().drain()
        assert len(receiver.deliveries) == calls + 1, "one probe"
        webhook.refresh_from_db()
        assert webhook.next_call_at > timezone.now()
        WebhookDispatcher().drain()
        assert len(receiver.deliveries) == calls + 1, "left alone"

    def test_after_recovery_everything_is_sent_at_once(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        event_ids = publish_events(times=40)
        receiver.answer = respond_with(503)
        for _ in range(6):
            WebhookDispatcher().drain()
            due_now(webhook)
        receiver.deliveries.clear()
        receiver.answer = respond_with(200)
        messages_to(webhook).update(next_attempt_at=timezone.now() + timedelta(hours=1))
        messages_to(webhook).filter(event_id=event_ids[0]).update(next_attempt_at=timezone.now())
        assert WebhookDispatcher().drain().sent == 40
        assert sorted(receiver.ids) == sorted(event_ids)
        webhook.refresh_from_db()
        assert (webhook.failures, webhook.failing_since) == (0, None)

    def test_retry_after_is_respected(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events()
        receiver.answer = respond_with(429, Retry_After="600")
        WebhookDispatcher().drain()
        webhook.refresh_from_db()
        assert timedelta(seconds=500) < webhook.next_call_at - timezone.now() <= timedelta(seconds=600)


class TestEnd:
    """Subscriptions that are switched off, automatically or by staff."""

    def test_after_five_days_of_failures_it_is_switched_off(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url, failing_since=timezone.now() - timedelta(hours=121))
        publish_events(times=3)
        receiver.answer = respond_with(500)
        WebhookDispatcher().drain()
        webhook.refresh_from_db()
        assert (webhook.is_active, webhook.ended_for) == (False, EndReason.FAILING)
        WebhookDispatcher().drain()
        assert waiting_for(webhook) == 0
        publish_events()
        assert messages_to(webhook).count() == 3
        assert broken_rules() - MADE_UP == set()

    def test_after_fewer_days_it_is_not(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url, failing_since=timezone.now() - timedelta(hours=119))
        publish_events()
        receiver.answer = respond_with(500)
        WebhookDispatcher().drain()
        webhook.refresh_from_db()
        assert webhook.is_active

    def test_a_success_ends_the_count_of_days(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url, failing_since=timezone.now() - timedelta(days=30))
        publish_events()
        WebhookDispatcher().drain()
        webhook.refresh_from_db()
        assert (webhook.is_active, webhook.failing_since) == (True, None)

    def test_410_switches_it_off_at_once(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events()
        receiver.answer = respond_with(410)
        WebhookDispatcher().drain()
        webhook.refresh_from_db()
        assert (webhook.is_active, webhook.ended_for) == (False, EndReason.GONE)

    def test_messages_of_an_order_during_the_switch_off_are_parked(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events()
        end(webhook)
        assert waiting_for(webhook) == 1
        WebhookDispatcher().drain()
        assert waiting_for(webhook) == 0
        assert receiver.connections == 0
        assert broken_rules() - MADE_UP == set()


def end(webhook: WebhookSubscription) -> None:
    WebhookSubscription.objects.filter(pk=webhook.pk).update(
        is_active=False, ended_for=EndReason.STAFF, ended_at=timezone.now()
    )


class TestRaces:
    """Concurrent dispatchers, and changes by staff during a call."""

    def test_two_dispatchers_send_each_message_once(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        event_ids = publish_events(times=60)
        together([WebhookDispatcher().drain, WebhookDispatcher().drain])
        WebhookDispatcher().drain()
        assert sorted(receiver.ids) == sorted(event_ids)
        assert waiting_for(webhook) == 0

    def test_control_without_the_lock_messages_are_sent_twice(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:

        class Held:
            def is_held(self) -> bool:
                return True

        @contextmanager
        def anybody(_destination: str) -> Iterator[Held]:
            yield Held()

        def slow(connection: Any) -> bool:
            threading.Event().wait(0.2)
            return respond_with(200)(connection)

        monkeypatch.setattr(webhook_dispatcher, "sole_dispatcher", anybody)
        receiver.answer = slow
        subscribe(receiver.url)
        event_ids = publish_events(times=8)
        together([WebhookDispatcher().drain, WebhookDispatcher().drain])
        assert len(receiver.ids) > len(event_ids)

    def test_a_delivery_during_the_switch_off_counts_as_sent(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        [event_id] = publish_events()
        go_on = threading.Event()

        def waits(connection: Any) -> bool:
            go_on.wait(PATIENCE_SECONDS)
            return respond_with(200)(connection)

        receiver.answer = waits
        with meanwhile(WebhookDispatcher().drain) as drained:
            wait_until(lambda: receiver.ids == [event_id], "the call")
            end(webhook)
            sql.execute(webhook_dispatcher.PARK, {"limit": 10})
            go_on.set()
            assert drained.result(PATIENCE_SECONDS) == Drained(sent=1)
        [message] = messages_to(webhook)
        assert message.sent_at is not None

    def test_a_failure_during_the_switch_off_stays_parked(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        [event_id] = publish_events()
        go_on = threading.Event()

        def waits(connection: Any) -> bool:
            go_on.wait(PATIENCE_SECONDS)
            return respond_with(500)(connection)

        receiver.answer = waits
        with meanwhile(WebhookDispatcher().drain) as drained:
            wait_until(lambda: receiver.ids == [event_id], "the call")
            end(webhook)
            sql.execute(webhook_dispatcher.PARK, {"limit": 10})
            go_on.set()
            drained.result(PATIENCE_SECONDS)
        [message] = messages_to(webhook)
        assert message.parked_at is not None
        assert message.sent_at is None

    def test_a_410_of_a_previous_url_is_ignored(self, receivers: Callable[[], Receiver]) -> None:
        old, new = receivers(), receivers()
        webhook = subscribe(old.url)
        [event_id] = publish_events()
        go_on = threading.Event()

        def waits(connection: Any) -> bool:
            go_on.wait(PATIENCE_SECONDS)
            return respond_with(410)(connection)

        old.answer = waits
        with meanwhile(WebhookDispatcher().drain) as drained:
            wait_until(lambda: old.ids == [event_id], "the call")
            WebhookSubscription.objects.filter(pk=webhook.pk).update(url=new.url)
            go_on.set()
            drained.result(PATIENCE_SECONDS)
        webhook.refresh_from_db()
        assert webhook.is_active
        assert webhook.failures == 0
        due_now(webhook)
        WebhookDispatcher().drain()
        assert new.ids == [event_id]

    def test_control_without_the_url_condition_it_is_not(
        self, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statement = webhook_dispatcher.NOTE_CALLS.replace("AND subscription.url = noted.url", "")
        assert statement != webhook_dispatcher.NOTE_CALLS
        monkeypatch.setattr(webhook_dispatcher, "NOTE_CALLS", statement)
        old, new = receivers(), receivers()
        webhook = subscribe(old.url)
        [event_id] = publish_events()
        go_on = threading.Event()

        def waits(connection: Any) -> bool:
            go_on.wait(PATIENCE_SECONDS)
            return respond_with(410)(connection)

        old.answer = waits
        with meanwhile(WebhookDispatcher().drain) as drained:
            wait_until(lambda: old.ids == [event_id], "the call")
            WebhookSubscription.objects.filter(pk=webhook.pk).update(url=new.url)
            go_on.set()
            drained.result(PATIENCE_SECONDS)
        webhook.refresh_from_db()
        assert not webhook.is_active

    def test_an_unmarked_call_is_repeated_with_the_same_id(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after a process was killed between the response and the UPDATE."""
        subscribe(receiver.url)
        [event_id] = publish_events()

        def dies(*_args: object) -> None:
            raise RuntimeError("the process dies here")

        with monkeypatch.context() as patch:
            patch.setattr(webhook_dispatcher, "record", dies)
            with pytest.raises(RuntimeError):
                WebhookDispatcher().drain()
        WebhookDispatcher().drain()
        assert receiver.ids == [event_id, event_id]


class TestForgetting:
    """Retention of webhook messages."""

    def test_parked_messages_and_logs_are_kept_for_thirty_days(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events(times=3)
        receiver.answer = respond_with(500)
        WebhookDispatcher().drain()
        messages_to(webhook).update(parked_at=timezone.now() - timedelta(days=31))
        young = messages_to(webhook).last()
        messages_to(webhook).filter(pk=young.pk).update(parked_at=timezone.now() - timedelta(days=29))
        OutboxMessage.objects.filter(destination="kafka").update(parked_at=timezone.now() - timedelta(days=99))
        purge_outbox(now=timezone.now(), older_than_hours=168)
        assert list(messages_to(webhook)) == [young]
        assert set(DeliveryAttempt.objects.values_list("message_id", flat=True)) <= {young.pk}
        assert OutboxMessage.objects.filter(destination="kafka").count() == 3

    def test_the_longest_waiting_subscriptions_come_first(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        event_ids = publish_events(times=3)
        messages_to(webhook).filter(event_id=event_ids[0]).update(
            next_attempt_at=F("next_attempt_at") + timedelta(days=1)
        )
        WebhookDispatcher().drain()
        assert sorted(receiver.ids) == sorted(event_ids[1:])
        assert WebhookDispatcher().seconds_to_next_attempt() == pytest.approx(86_400, abs=60)
