"""The circuit breaker of the data platform."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings

from commerce.outbox import breaker
from commerce.outbox.breaker import Breaker
from commerce.outbox.dispatcher import Dispatcher, Drained
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import DATA_PLATFORM
from tests.factories import ProductFactory, UserFactory, order_of
from tests.outbox.conftest import publish_events, waiting
from tests.outbox.manage import _environment, call, managed
from tests.outbox.partner import Partner
from tests.shop_state import statements
from tests.together import PATIENCE_SECONDS, wait_until

NEVER = 1_000_000


class Clock:
    """Only changes when it is set."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all breakers."""
    clock = Clock()
    monkeypatch.setattr(breaker, "time", clock)
    return clock


class TestByItself:
    """The states closed, open and half-open."""

    @pytest.fixture
    def three(self, clock: Clock) -> Breaker:
        return Breaker("Somebody", failures=3, pause_seconds=30.0)

    @pytest.fixture
    def opened(self, three: Breaker) -> Breaker:
        three.report(failed=3, worked=False)
        return three

    def test_a_closed_breaker_admits_everything(self, three: Breaker) -> None:
        assert (three.admit(16), three.pause_seconds()) == (16, 0.0)

    def test_it_opens_at_its_limit_and_not_before(self, three: Breaker) -> None:
        three.report(failed=2, worked=False)
        assert three.admit(16) == 16
        three.report(failed=1, worked=False)
        assert (three.admit(16), three.pause_seconds()) == (0, 30.0)

    def test_only_consecutive_failures_count(self, three: Breaker) -> None:
        for _ in range(10):
            three.report(failed=2, worked=False)
            three.report(failed=2, worked=True)
        assert three.admit(16) == 16

    def test_after_the_pause_one_call_is_admitted(self, opened: Breaker, clock: Clock) -> None:
        clock.now += 29.9
        assert opened.admit(16) == 0
        clock.now += 0.1
        assert opened.pause_seconds() == 0.0
        assert [opened.admit(16) for _ in range(3)] == [1, 0, 0]

    def test_a_probe_that_works_closes_it(self, opened: Breaker, clock: Clock) -> None:
        clock.now += 30.0
        opened.admit(16)
        opened.report(failed=0, worked=True)
        assert (opened.admit(16), opened.pause_seconds()) == (16, 0.0)
        opened.report(failed=2, worked=False)
        assert opened.admit(16) == 16, "it counts afresh"

    def test_a_probe_that_fails_is_followed_by_another_pause(self, opened: Breaker, clock: Clock) -> None:
        clock.now += 30.0
        opened.admit(16)
        clock.now += 2.0
        opened.report(failed=1, worked=False)
        assert opened.pause_seconds() == 30.0
        clock.now += 30.0
        assert opened.admit(16) == 1

    def test_a_probe_that_is_never_reported_is_followed_by_another(self, opened: Breaker, clock: Clock) -> None:
        clock.now += 30.0
        assert opened.admit(16) == 1
        clock.now += 30.0
        assert opened.admit(16) == 1

    def test_retry_after_opens_it_at_once_for_that_long(self, three: Breaker, clock: Clock) -> None:
        three.report(failed=1, worked=True, asked_seconds=7.0)
        assert (three.admit(16), three.pause_seconds()) == (0, 7.0)
        clock.now += 7.0
        assert three.admit(16) == 1

    def test_a_short_retry_after_does_not_shorten_a_pause(self, opened: Breaker) -> None:
        opened.report(failed=1, worked=False, asked_seconds=1.0)
        assert opened.pause_seconds() == 30.0


class TestGauge:
    """`commerce_outbox_breaker_open`: 1 while the destination is not called."""

    @pytest.fixture
    def one(self, clock: Clock, request: pytest.FixtureRequest) -> Breaker:
        return Breaker(request.node.name, failures=1, pause_seconds=30.0)

    @staticmethod
    def shown(request: pytest.FixtureRequest) -> float | None:
        return REGISTRY.get_sample_value("commerce_outbox_breaker_open", {"destination": request.node.name})

    def test_a_call_that_works_shows_0(self, one: Breaker, request: pytest.FixtureRequest) -> None:
        assert self.shown(request) is None
        one.report(failed=0, worked=True)
        assert self.shown(request) == 0

    def test_a_call_too_many_shows_1_until_a_probe_works(
        self, one: Breaker, clock: Clock, request: pytest.FixtureRequest
    ) -> None:
        one.report(failed=1, worked=False)
        assert self.shown(request) == 1
        clock.now += 30.0
        one.admit(16)
        assert self.shown(request) == 1, "a probe is no answer yet"
        one.report(failed=0, worked=True)
        assert self.shown(request) == 0

    def test_the_end_of_a_pause_is_shown_without_a_probe(
        self, one: Breaker, clock: Clock, request: pytest.FixtureRequest
    ) -> None:
        """This process may have no message for a probe, while another one delivers."""
        one.report(failed=1, worked=False)
        clock.now += 29.9
        assert one.pause_seconds() > 0
        assert self.shown(request) == 1
        clock.now += 0.1
        assert one.pause_seconds() == 0.0
        assert self.shown(request) == 0

    def test_the_gauge_is_the_maximum_of_live_processes(
        self, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.PROMETHEUS_MULTIPROC_DIR = str(tmp_path)
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        with worker(tmp_path, failed=0), worker(tmp_path, failed=1) as stopped:
            assert breaker_line() == 'commerce_outbox_breaker_open{destination="data-platform"} 1.0'
            stopped.kill()
            stopped.wait()
            assert breaker_line() == 'commerce_outbox_breaker_open{destination="data-platform"} 0.0'

    @pytest.mark.django_db(transaction=True)
    def test_the_relay_serves_it_to_prometheus(self, partner: Partner) -> None:
        partner.status = 500
        publish_events(event_type="order-completed", times=5)
        environment = {"DATA_PLATFORM_SECRET": "the partner's and our secret, 40 letters"}
        with managed("relay_outbox", "--metrics-port", "0", environment=environment) as relay:
            wait_until(lambda: relay.printed("Relaying"), "the relay")
            [address] = [line.split()[-1] for line in relay.lines if line.startswith("Metrics at ")]

            def served(line: str) -> bool:
                with urlopen(address) as answer:  # noqa: S310  # an address that the process just printed
                    return line in answer.read().decode().splitlines()

            wait_until(lambda: served('commerce_outbox_breaker_open{destination="data-platform"} 1.0'), "the breaker")
            wait_until(lambda: served('commerce_outbox_failures_total{destination="data-platform"} 5.0'), "its reason")
            wait_until(lambda: served('commerce_outbox_sent_total{destination="kafka"} 5.0'), "what went to Kafka")
            assert relay.stop() == 0

    def test_a_metrics_port_in_use_ends_the_relay(self, closed_port: int) -> None:
        done = call("relay_outbox", "--metrics-port", str(closed_port))
        assert done.returncode == 1
        assert f"Metrics cannot be served on port {closed_port}" in done.stderr


WORKER = """
import sys, django
django.setup()
from commerce.outbox.breaker import Breaker
failed = int(sys.argv[1])
Breaker("data-platform", failures=1, pause_seconds=3_600.0).report(failed=failed, worked=not failed)
print("told", flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(folder: Path, *, failed: int) -> Iterator["subprocess.Popen[str]"]:
    """A process whose calls have failed, and that shares its metrics in `folder`, as a web worker does."""
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-c", WORKER, str(failed)],
        cwd=settings.BASE_DIR,
        env=_environment({"PROMETHEUS_MULTIPROC_DIR": str(folder)}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "told\n"
            yield process
        finally:
            process.kill()


def breaker_line() -> str:
    """The line about the breakers in `/metrics`."""
    page = Client().get("/metrics").content.decode()
    [line] = [line for line in page.splitlines() if line.startswith("commerce_outbox_breaker_open{")]
    return line


@pytest.mark.django_db(transaction=True)
class TestDispatcher:
    """Effects of the breaker on messages."""

    @pytest.fixture(autouse=True)
    def limit_of_three(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_BREAKER_FAILURES = 3

    def failed_three_times(self, partner: Partner, *, status: int = 500) -> Dispatcher:
        """Three failed messages and two newer ones; all are due."""
        partner.status = status
        publish_events(event_type="order-completed", times=3)
        dispatcher = Dispatcher(DATA_PLATFORM)
        assert dispatcher.drain() == Drained(failed=3)
        publish_events(event_type="order-completed", times=2)
        OutboxMessage.objects.update(next_attempt_at=timezone.now())
        return dispatcher

    def test_after_too_many_failures_nothing_more_is_tried(self, partner: Partner) -> None:
        dispatcher = self.failed_three_times(partner)
        with statements() as ran:
            assert dispatcher.drain() == Drained()
        assert ran == []
        assert len(partner.calls) == 3
        assert [row.attempts for row in waiting(DATA_PLATFORM)] == [1, 1, 1, 0, 0]

    def test_control_without_the_breaker_calls_continue(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_BREAKER_FAILURES = NEVER
        assert self.failed_three_times(partner).drain() == Drained(failed=5)
        assert len(partner.calls) == 8

    @pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
    def test_a_failure_about_one_message_does_not_count(self, partner: Partner, status: int) -> None:
        assert self.failed_three_times(partner, status=status).drain() == Drained(failed=5)

    @pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 503])
    def test_a_failure_of_the_platform_opens_it(self, partner: Partner, status: int) -> None:
        assert self.failed_three_times(partner, status=status).pause_seconds() > 29

    def test_after_a_successful_probe_everything_is_sent(self, clock: Clock, partner: Partner) -> None:
        dispatcher = self.failed_three_times(partner)
        clock.now += 30.0
        assert dispatcher.drain() == Drained(failed=1)
        assert len(partner.calls) == 4
        assert dispatcher.drain() == Drained()
        partner.status = 200
        OutboxMessage.objects.update(next_attempt_at=timezone.now())
        clock.now += 30.0
        assert dispatcher.drain() == Drained(sent=5)
        assert waiting(DATA_PLATFORM) == []

    @pytest.mark.usefixtures("clock")
    def test_retry_after_applies_to_all_messages(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_BREAKER_FAILURES = NEVER
        partner.status, partner.headers = 429, {"Retry-After": "40"}
        publish_events(event_type="order-completed")
        assert Dispatcher(DATA_PLATFORM).drain() == Drained(failed=1)
        partner.status, partner.headers = 200, {}
        publish_events(event_type="order-completed")
        dispatcher = Dispatcher(DATA_PLATFORM)
        assert dispatcher.pause_seconds() == 40.0
        assert dispatcher.drain() == Drained()
        assert len(partner.calls) == 1

    @pytest.mark.usefixtures("dispatching")
    def test_untried_messages_are_sent_after_the_pause(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_BREAKER_FAILURES = 1
        settings.DATA_PLATFORM_BREAKER_SECONDS = 0.3
        settings.OUTBOX_MAX_ATTEMPTS = 1
        partner.status = 500
        publish_events(event_type="order-completed")
        parked = OutboxMessage.objects.filter(parked_at__isnull=False)
        wait_until(lambda: parked.count() == 1, "the only message in trouble to be parked")
        publish_events(event_type="order-completed", times=2)
        partner.status = 200
        wait_until(lambda: not waiting(DATA_PLATFORM), "the others to leave")
        assert len(partner.calls) == 3


@pytest.mark.django_db(transaction=True)
class TestSync:
    """`DATA_PLATFORM_DELIVERY=sync`: requests do not wait while the breaker is open."""

    TIMEOUT_SECONDS = 0.6

    @pytest.fixture(autouse=True)
    def platform_that_hangs(self, partner: Partner, settings: Settings) -> Iterator[None]:
        settings.DATA_PLATFORM_DELIVERY = "sync"
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = self.TIMEOUT_SECONDS
        settings.DATA_PLATFORM_BREAKER_FAILURES = 1
        partner.hold = hold = Event()
        yield
        hold.set()

    def seconds_of_an_order(self) -> float:
        user, product = UserFactory(balance=10_000), ProductFactory(price=1_000)
        started = time.monotonic()
        order_of(user, {product: 1})
        return time.monotonic() - started

    def make_reachable(self, partner: Partner, settings: Settings) -> None:
        """Let the partner respond, with a timeout that is long enough for a busy machine."""
        assert partner.hold is not None
        partner.hold.set()
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = PATIENCE_SECONDS

    def test_an_order_does_not_wait_while_it_is_open(self, partner: Partner) -> None:
        assert self.seconds_of_an_order() >= self.TIMEOUT_SECONDS
        with statements() as ran:
            self.seconds_of_an_order()
        assert not [statement for statement in ran if "next_attempt_at" in statement], "the message is not claimed"
        assert len(partner.calls) == 1
        assert [row.attempts for row in waiting(DATA_PLATFORM)] == [1, 0]

    def test_control_without_it_every_order_waits(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_BREAKER_FAILURES = NEVER
        for _ in range(2):
            assert self.seconds_of_an_order() >= self.TIMEOUT_SECONDS
        assert len(partner.calls) == 2

    def test_an_order_may_be_the_probe(self, clock: Clock, partner: Partner, settings: Settings) -> None:
        self.seconds_of_an_order()
        self.make_reachable(partner, settings)
        clock.now += 30.0
        for _ in range(2):
            self.seconds_of_an_order()
        assert len(partner.calls) == 3
        assert len(waiting(DATA_PLATFORM)) == 1

    def test_nothing_is_lost_meanwhile(self, clock: Clock, partner: Partner, settings: Settings) -> None:
        for _ in range(3):
            self.seconds_of_an_order()
        self.make_reachable(partner, settings)
        OutboxMessage.objects.update(next_attempt_at=timezone.now())
        clock.now += 30.0
        assert Dispatcher(DATA_PLATFORM).drain() == Drained(sent=3)
