"""After a commit: waking the dispatcher of the same process, and calls to the data platform in sync mode."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.outbox import local_dispatch
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.dispatcher_lock import sole_dispatcher
from commerce.outbox.dispatcher_thread import DispatcherThread
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import DATA_PLATFORM, KAFKA
from orders.events import order_completed
from orders.models import Order, OrderStatus
from tests.factories import ProductFactory, UserFactory, order_of
from tests.outbox.conftest import publish_events, read_topic, unavailable_kafka, waiting
from tests.outbox.partner import Partner
from tests.together import PATIENCE_SECONDS, meanwhile, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY_LISTENS = "127.0.0.1:1"
REQUEST_LIMIT_SECONDS = 10


def threads_of(destination: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"outbox-{destination}"]


@pytest.mark.usefixtures("dispatching")
class TestOwnDispatcher:
    """`OUTBOX_DISPATCH_IN_WEB`: the process that commits also delivers."""

    def test_a_committed_event_is_sent_without_a_poll(self) -> None:
        publish_events()
        wait_until(lambda: not waiting(KAFKA), "the message to leave")
        assert len(read_topic("coupon-issued", at_least=1)) == 1

    def test_one_thread_per_destination_serves_all(self, partner: Partner) -> None:
        with ThreadPoolExecutor(8) as requests:
            list(requests.map(lambda _: _publish_and_close(), range(40)))
        wait_until(lambda: not waiting(KAFKA) + waiting(DATA_PLATFORM), "the messages to leave")
        assert (len(threads_of(KAFKA)), len(threads_of(DATA_PLATFORM))) == (1, 1)
        assert len(read_topic("order-completed", at_least=40)) == 40
        assert len(partner.calls) == 40

    def test_a_hanging_partner_does_not_delay_kafka(self, partner: Partner) -> None:
        partner.hold = threading.Event()
        publish_events(event_type="order-completed")
        wait_until(lambda: not waiting(KAFKA), "the message for Kafka to leave")
        assert len(waiting(DATA_PLATFORM)) == 1

    def test_an_order_does_not_wait_for_deliveries(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = 10.0
        partner.hold = threading.Event()
        user, product = UserFactory(balance=100_000), ProductFactory(price=1, stock=100)
        with unavailable_kafka():
            order_of(user, {product: 1})
            wait_until(lambda: partner.calls, "the hanging call")
            for _ in range(5):
                order_of(user, {product: 1})
        assert len(partner.calls) == 1, "the first call hangs still"
        assert [row.attempts for row in waiting(DATA_PLATFORM)] == [0] * 6

    def test_a_failure_is_retried_without_another_event(self, partner: Partner) -> None:
        publish_events(event_type="order-completed")
        wait_until(lambda: not waiting(DATA_PLATFORM), "a first message, so that nothing waits any more")
        [thread] = threads_of(DATA_PLATFORM)
        assert isinstance(thread, DispatcherThread)
        wait_until(lambda: not thread._may_wait, "the thread to see it")
        partner.calls.clear()
        partner.status = 503
        [event_id] = publish_events(event_type="order-completed")
        wait_until(lambda: [row.attempts for row in waiting(DATA_PLATFORM)] == [1], "the first failure")
        partner.status = 200
        wait_until(lambda: not waiting(DATA_PLATFORM), "the second try")
        assert partner.keys == [event_id, event_id]

    def test_a_message_committed_during_a_drain_does_not_wait_for_a_poll(self) -> None:
        with sole_dispatcher(KAFKA) as lock:
            assert lock
            publish_events()
            [thread] = threads_of(KAFKA)
            assert isinstance(thread, DispatcherThread)
            wait_until(lambda: thread._turn_seconds > 0.02, "the thread to find the destination taken")
            assert len(waiting(KAFKA)) == 1
        # The thread in the web process does not poll: the message is sent now or never.
        wait_until(lambda: not waiting(KAFKA), "the message to leave")

    def test_the_thread_outlives_its_database_connection(self) -> None:
        publish_events()
        wait_until(lambda: not waiting(KAFKA), "the first message to leave")
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        publish_events()
        wait_until(lambda: not waiting(KAFKA), "the second message to leave")

    def test_messages_of_an_earlier_process_are_sent(self, settings: Settings) -> None:
        settings.OUTBOX_DISPATCH_IN_WEB = False
        publish_events(user_id=1)
        settings.OUTBOX_DISPATCH_IN_WEB = True
        publish_events(user_id=2)
        wait_until(lambda: not waiting(KAFKA), "both to leave")

    def test_stop_ends_the_threads_and_the_next_event_starts_new_ones(self) -> None:
        publish_events()
        wait_until(lambda: not waiting(KAFKA), "the first message to leave")
        local_dispatch.stop()
        assert threads_of(KAFKA) == []
        publish_events()
        wait_until(lambda: not waiting(KAFKA), "the second message to leave")

    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_forked_worker_has_a_dispatcher_of_its_own(self) -> None:
        publish_events(user_id=1)
        wait_until(lambda: not waiting(KAFKA), "the parent's message to leave")
        connection.close()
        child = os.fork()
        if child == 0:
            _leave_with_one_message_sent()
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert {record.key for record in read_topic("coupon-issued", at_least=2)} == {"1", "2"}


def test_without_a_dispatcher_in_the_web_process_nothing_is_sent() -> None:
    publish_events()
    assert threads_of(KAFKA) == []
    assert len(waiting(KAFKA)) == 1


class TestSync:
    """`DATA_PLATFORM_DELIVERY=sync`: the order is sent to the data platform before its response."""

    @pytest.fixture(autouse=True)
    def sync(self, settings: Settings, partner: Partner) -> None:
        settings.DATA_PLATFORM_DELIVERY = "sync"

    def order(self) -> Order:
        return order_of(UserFactory(balance=10_000), {ProductFactory(price=1_000): 1})

    def test_the_platform_has_the_event_when_the_order_returns(self, partner: Partner) -> None:
        order = self.order()
        assert partner.keys == [order_completed(order).id]
        assert waiting(DATA_PLATFORM) == []
        assert Dispatcher(DATA_PLATFORM).drain().sent == 0

    @pytest.mark.parametrize("trouble", ["refuses", "errs", "hangs", "drips"])
    def test_a_failure_never_fails_the_order(self, partner: Partner, settings: Settings, trouble: str) -> None:
        if trouble == "refuses":
            settings.DATA_PLATFORM_URL = f"http://{NOBODY_LISTENS}/orders"
        partner.status = 500 if trouble == "errs" else 200
        partner.hold = threading.Event() if trouble == "hangs" else None
        partner.drips = "headers" if trouble == "drips" else ""
        if trouble in ("hangs", "drips"):
            settings.DATA_PLATFORM_TIMEOUT_SECONDS = 0.5
        user, product = UserFactory(balance=10_000), ProductFactory(price=1_000)
        started = time.monotonic()
        order = order_of(user, {product: 1})
        assert time.monotonic() - started < REQUEST_LIMIT_SECONDS
        assert Order.objects.get(pk=order.pk).status == OrderStatus.COMPLETED
        [row] = waiting(DATA_PLATFORM)
        assert row.attempts == 1

    def test_a_failure_is_left_to_the_dispatcher(self, partner: Partner) -> None:
        partner.status = 500
        self.order()
        partner.status = 200
        OutboxMessage.objects.update(next_attempt_at=timezone.now())
        assert Dispatcher(DATA_PLATFORM).drain().sent == 1
        assert len(partner.calls) == 2

    @pytest.mark.usefixtures("dispatching")
    def test_a_failure_is_retried_by_the_process_itself(self, partner: Partner) -> None:
        """Its dispatcher thread is idle then, and is not informed of the failure."""
        partner.status = 500
        self.order()
        partner.status = 200
        wait_until(lambda: not waiting(DATA_PLATFORM), "the first order's second try")
        [thread] = threads_of(DATA_PLATFORM)
        assert isinstance(thread, DispatcherThread)
        wait_until(lambda: not thread._may_wait, "the thread to see that nothing waits")
        partner.status = 500
        self.order()
        partner.status = 200
        wait_until(lambda: not waiting(DATA_PLATFORM), "the second order's second try")
        assert len(partner.calls) == 4

    def test_the_dispatcher_skips_a_claimed_message(self, partner: Partner) -> None:
        partner.hold = threading.Event()
        with meanwhile(self.order) as order:
            wait_until(lambda: partner.calls, "the call of the request")
            assert Dispatcher(DATA_PLATFORM).drain().sent == 0
            partner.hold.set()
            order.result(timeout=PATIENCE_SECONDS)
        assert len(partner.calls) == 1
        assert waiting(DATA_PLATFORM) == []


def _publish_and_close() -> None:
    try:
        publish_events(event_type="order-completed")
    finally:
        connection.close()


def _leave_with_one_message_sent() -> None:
    """Runs in the forked child, which exits without returning to pytest."""
    code = 1
    try:
        [event_id] = publish_events(user_id=2)
        wait_until(lambda: not waiting(KAFKA), "the child's message to leave")
        local_dispatch.stop()
        # Sent at the first attempt: the parent's Kafka client would have failed, because its threads do not exist here.
        code = 0 if OutboxMessage.objects.get(event_id=event_id).attempts == 1 else 2
    finally:
        os._exit(code)
