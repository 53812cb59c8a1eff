"""Calls to the data platform: signature, time limits, and outcomes."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import Settings

from commerce.outbox.sinks import data_platform
from commerce.outbox.sinks.base import Acknowledged, Failure, Message, Outcome, Outcomes
from commerce.outbox.sinks.data_platform import DataPlatformSink, signature
from commerce.outbox.sinks.deadline import SocketDeadline
from tests.outbox.partner import Partner
from tests.together import PATIENCE_SECONDS, meanwhile, wait_until

# Long enough for a busy machine, shorter than without a deadline.
SLACK_SECONDS = 5.0
SECRET = "the partner's and our secret, 40 letters"


@pytest.fixture
def sink() -> DataPlatformSink:
    return DataPlatformSink()


def message(number: int = 1) -> Message:
    payload = f'{{"id": "order-completed:{number}", "who": "민아"}}'.encode()
    return Message(number, f"order-completed:{number}", "order-completed", "7", payload, 0)


def went_through(outcomes: Outcomes) -> bool:
    return all(isinstance(outcome, Acknowledged) for outcome in outcomes.values()) and len(outcomes) > 0


def failure_of(outcomes: Outcomes) -> Failure:
    [failure] = outcomes.values()
    assert isinstance(failure, Failure)
    return failure


def test_an_event_is_posted_unchanged(sink: DataPlatformSink, partner: Partner) -> None:
    assert went_through(sink.deliver([message()]))
    [call] = partner.calls
    assert call.path == "/orders"
    assert call.body == message().payload
    assert call.headers["Content-Type"] == "application/cloudevents+json"
    assert call.headers["Idempotency-Key"] == "order-completed:1"


def test_the_signature_can_be_checked_as_documented(sink: DataPlatformSink, partner: Partner) -> None:
    before = int(time.time())
    sink.deliver([message()])
    [call] = partner.calls
    sent_at, _, digest = call.headers["X-Signature"].removeprefix("t=").partition(",v1=")
    assert before <= int(sent_at) <= time.time()
    expected = hmac.new(SECRET.encode(), sent_at.encode() + b"." + call.body, hashlib.sha256).hexdigest()
    assert digest == expected


def test_the_documented_check_accepts_only_our_calls(sink: DataPlatformSink, partner: Partner) -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "data-platform.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    documented: dict[str, Any] = {}
    exec(code, documented)  # noqa: S102  # the page's own example
    is_from_the_shop = documented["is_from_the_shop"]
    sink.deliver([message()])
    [call] = partner.calls
    header = call.headers["X-Signature"]
    assert is_from_the_shop(header, call.body, SECRET)
    assert not is_from_the_shop(header, call.body + b" ", SECRET)
    assert not is_from_the_shop(header, call.body, "a secret of somebody else, 40 letters ok")
    assert not is_from_the_shop(signature([SECRET], call.body, sent_at=int(time.time()) - 400), call.body, SECRET)


def test_another_body_or_another_secret_has_another_signature(
    sink: DataPlatformSink, partner: Partner, settings: Settings
) -> None:
    sink.deliver([message(1)])
    sink.deliver([message(2)])
    settings.DATA_PLATFORM_SECRET = "another secret that also has its 40 signs"
    sink.deliver([message(1)])
    assert len({call.headers["X-Signature"].partition("v1=")[2] for call in partner.calls}) == 3


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_an_acknowledgement(sink: DataPlatformSink, partner: Partner, status: int) -> None:
    partner.status = status
    assert went_through(sink.deliver([message()]))


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 422, 500, 502, 503])
def test_any_other_status_is_a_failure(sink: DataPlatformSink, partner: Partner, status: int) -> None:
    partner.status, partner.headers = status, {"Location": "/elsewhere"}
    failure = failure_of(sink.deliver([message()]))
    assert failure.reason.startswith(f"HTTP {status}")
    assert not failure.unavailable
    assert not failure.refused
    assert len(partner.calls) == 1, "a redirect must not be followed"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("999999", 3_600.0), ("soon", 0.0), ("-3", 0.0), ("²", 0.0), ("Sat, 21 Nov 2099 05:00:00", 0.0)],
)
def test_retry_after_is_read(sink: DataPlatformSink, partner: Partner, header: str, seconds: float) -> None:
    partner.status, partner.headers = 503, {"Retry-After": header}
    assert failure_of(sink.deliver([message()])).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("minutes", "at_least", "at_most"), [(2, 110.0, 120.0), (600, 3_600.0, 3_600.0), (-5, 0.0, 0.0)]
)
def test_retry_after_may_be_a_date(
    sink: DataPlatformSink, partner: Partner, minutes: int, at_least: float, at_most: float
) -> None:
    date = format_datetime(timezone.now() + timedelta(minutes=minutes), usegmt=True)
    partner.status, partner.headers = 503, {"Retry-After": date}
    assert at_least <= failure_of(sink.deliver([message()])).retry_after_seconds <= at_most


def test_connections_are_kept(sink: DataPlatformSink, partner: Partner) -> None:
    for number in range(10):
        assert went_through(sink.deliver([message(number)]))
    partner.status = 500
    sink.deliver([message(11)])
    assert len(partner.calls) == 11
    assert partner.connections == 1


def test_calls_are_concurrent(sink: DataPlatformSink, partner: Partner) -> None:
    messages = [message(number) for number in range(16)]
    outcomes = sink.deliver(messages)
    assert went_through(outcomes)
    assert list(outcomes) == list(range(16))
    assert sorted(partner.keys) == sorted(one.event_id for one in messages)
    assert 1 <= partner.connections <= 8


def test_a_cookie_is_not_sent_back(sink: DataPlatformSink, partner: Partner) -> None:
    partner.headers = {"Set-Cookie": "session=1"}
    sink.deliver([message(1)])
    sink.deliver([message(2)])
    assert all("Cookie" not in call.headers for call in partner.calls)


def test_a_proxy_in_the_environment_is_not_used(
    sink: DataPlatformSink, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    assert went_through(sink.deliver([message()]))


def test_a_refused_connection_is_a_failure(sink: DataPlatformSink, settings: Settings) -> None:
    settings.DATA_PLATFORM_URL = "http://127.0.0.1:1/orders"
    failure = failure_of(sink.deliver([message()]))
    assert failure.unavailable
    assert "refused" in failure.reason


def _with_patient_sockets(answer_to: Callable[..., Outcome]) -> Callable[..., Outcome]:
    def patient(caller: object, message: Message, seconds: float, *rest: object) -> Outcome:
        return answer_to(caller, message, PATIENCE_SECONDS, *rest)

    return patient


class TestDeadline:
    """A call ends at its deadline, however the partner delays it."""

    LIMIT_SECONDS = 0.4
    LONG_ENOUGH_FOR_HEADERS_SECONDS = 2.0
    """For a busy machine."""

    @pytest.fixture(autouse=True)
    def short_deadline(self, partner: Partner, settings: Settings) -> None:
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = self.LIMIT_SECONDS

    def delivered_in_time(self, sink: DataPlatformSink, messages: int = 1) -> Outcomes:
        rounds = -(-messages // 8)
        started = time.monotonic()
        outcomes = sink.deliver([message(number) for number in range(messages)])
        assert time.monotonic() - started < rounds * settings.DATA_PLATFORM_TIMEOUT_SECONDS + SLACK_SECONDS
        return outcomes

    def assert_works_again(self, sink: DataPlatformSink, partner: Partner, changeable: Settings) -> None:
        partner.drips = ""
        changeable.DATA_PLATFORM_TIMEOUT_SECONDS = PATIENCE_SECONDS
        assert went_through(sink.deliver([message()]))
        changeable.DATA_PLATFORM_TIMEOUT_SECONDS = self.LIMIT_SECONDS

    def test_a_hanging_partner(self, sink: DataPlatformSink, partner: Partner) -> None:
        partner.hold = Event()
        assert failure_of(self.delivered_in_time(sink)).unavailable

    @pytest.mark.parametrize("status", [200, 500])
    def test_dripping_headers_are_a_failure(self, sink: DataPlatformSink, partner: Partner, status: int) -> None:
        partner.drips, partner.status = "headers", status
        assert failure_of(self.delivered_in_time(sink)).unavailable
        wait_until(lambda: partner.hung_up == 1, "our side to close the dripping connection")

    def test_a_dripping_body_after_a_2xx_is_ignored(
        self, sink: DataPlatformSink, partner: Partner, settings: Settings
    ) -> None:
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = self.LONG_ENOUGH_FOR_HEADERS_SECONDS
        partner.drips = "body"
        assert went_through(self.delivered_in_time(sink))
        wait_until(lambda: partner.hung_up == 1, "our side to close the dripping connection")

    def test_a_dripping_body_after_a_500_is_a_500(
        self, sink: DataPlatformSink, partner: Partner, settings: Settings
    ) -> None:
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = self.LONG_ENOUGH_FOR_HEADERS_SECONDS
        partner.drips, partner.status = "body", 500
        assert failure_of(self.delivered_in_time(sink)).reason.startswith("HTTP 500")

    def test_a_batch_of_dripping_responses(self, sink: DataPlatformSink, partner: Partner, settings: Settings) -> None:
        partner.drips = "headers"
        outcomes = self.delivered_in_time(sink, messages=16)
        assert all(isinstance(failure, Failure) and failure.unavailable for failure in outcomes.values())
        self.assert_works_again(sink, partner, settings)

    def test_control_without_the_deadline_threads_stay_busy(
        self, sink: DataPlatformSink, partner: Partner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SocketDeadline, "_shut", lambda deadline: None)
        # On a busy machine the pause between two bytes must not exceed the read timeout.
        monkeypatch.setattr(
            data_platform._Caller, "_answer_to", _with_patient_sockets(data_platform._Caller._answer_to)
        )
        partner.drips = "headers"
        while len(partner.calls) < 8:
            self.delivered_in_time(sink, messages=8)
        assert self.delivered_in_time(sink) == {}, "no thread was free"
        assert len(partner.calls) == 8

    def test_more_requests_than_threads_end_in_time(self, sink: DataPlatformSink, partner: Partner) -> None:
        partner.drips = "headers"
        with ThreadPoolExecutor(24) as requests:
            list(requests.map(lambda _: self.delivered_in_time(sink), range(24)))

    def test_after_a_slow_call_the_next_has_its_own_deadline(
        self, sink: DataPlatformSink, partner: Partner, settings: Settings
    ) -> None:
        for _ in range(3):
            partner.drips = "headers"
            self.delivered_in_time(sink)
            self.assert_works_again(sink, partner, settings)


class TestTurns:
    """At most eight simultaneous calls per process. A message that gets no slot in time counts as not tried."""

    # Long enough for the message that gets a slot, also on a busy machine.
    LIMIT_SECONDS = 2.0

    @contextmanager
    def all_but(self, free: int, sink: DataPlatformSink, partner: Partner, settings: Settings) -> Iterator[None]:
        """Leave `free` of the eight slots free; the others are used by calls with a long deadline."""
        settings.DATA_PLATFORM_TIMEOUT_SECONDS = 60.0
        partner.hold = Event()
        busy = [message(number) for number in range(100, 108 - free)]
        with meanwhile(lambda: sink.deliver(busy)) as held:
            wait_until(lambda: len(partner.calls) == len(busy), "the calls that hang")
            settings.DATA_PLATFORM_TIMEOUT_SECONDS = self.LIMIT_SECONDS
            try:
                yield
            finally:
                partner.hold.set()
                settings.DATA_PLATFORM_TIMEOUT_SECONDS = PATIENCE_SECONDS
            assert went_through(held.result(timeout=PATIENCE_SECONDS))

    def test_without_a_free_thread_there_is_no_call(
        self, sink: DataPlatformSink, partner: Partner, settings: Settings
    ) -> None:
        with self.all_but(0, sink, partner, settings):
            assert sink.deliver([message(1), message(2)]) == {}
        assert went_through(sink.deliver([message(3)]))
        assert "order-completed:3" in partner.keys
        assert not {"order-completed:1", "order-completed:2"} & set(partner.keys)

    def test_only_the_message_with_the_thread_has_failed(
        self, sink: DataPlatformSink, partner: Partner, settings: Settings
    ) -> None:
        with self.all_but(1, sink, partner, settings):
            outcomes = sink.deliver([message(1), message(2)])
        assert list(outcomes) == [1]
        assert failure_of(outcomes).unavailable
        assert "order-completed:2" not in partner.keys
