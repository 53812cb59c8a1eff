"""F16: the data platform refuses, fails, sends Retry-After, responds slowly, hangs and resets connections."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace

from django.utils import timezone

from commerce.core import sql
from commerce.embedded.ports import LOOPBACK
from commerce.outbox.sinks import data_platform
from commerce.outbox.sinks.base import Acknowledged, Failure, Message, Outcome, Outcomes
from commerce.outbox.sinks.deadline import SocketDeadline
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.partner import Partner
from tests.faults.proxy import Proxy
from tests.faults.shop import Variant

_HAPPENS_WITHIN_SECONDS = 15.0
_CALLED_SINCE = """
    SELECT count(*) FROM delivery_attempt
    WHERE attempted_at > %s AND coalesce(http_status, 0) = %s
"""
# Each of three processes has its own breaker. With production's 30 s a run would mostly wait.
_SETTINGS = {"DATA_PLATFORM_BREAKER_SECONDS": "1", "DATA_PLATFORM_TIMEOUT_SECONDS": "1"}
_PROXIED = frozenset({"data-platform"})
_SYNC = Variant(
    settings={**_SETTINGS, "DATA_PLATFORM_DELIVERY": "sync", "DATA_PLATFORM_TIMEOUT_SECONDS": "2"}, proxied=_PROXIED
)
_DRIPPED_SECONDS = 6.0


class _PlatformInTrouble(Fault):
    """Orders are not slowed down, and all events are delivered in the end."""

    gap_seconds = (0.2, 0.5)
    sells_on = True
    slowest_order_seconds = 3.0
    # After several failures a message waits some seconds for its next attempt.
    patience_seconds = 60.0
    most_shots = 6

    def variant(self) -> Variant:
        return Variant(settings=_SETTINGS, proxied=_PROXIED)

    def ways(self) -> list[Callable[[Run], str]]:
        """The failures to apply, in random order."""
        return [_refuses, _fails, _is_busy, _drips, _hangs, _resets]

    def strike(self, run: Run) -> str:
        ways = self.ways()
        run.random.shuffle(ways)
        seen = []
        for way in ways:
            seen.append(way(run))
            run.shop.proxies["data-platform"].pass_on()
        return ", ".join(seen)

    def heal(self, run: Run) -> None:
        run.shop.proxies["data-platform"].pass_on()


class PlatformFails(_PlatformInTrouble):
    """All failures, one after the other."""

    number = "F16a"
    title = "data platform fails in six ways"
    protection = "a report is done only when the data platform has said so"
    control_shows = "never reached the data platform"

    def control(self) -> Variant:
        return Variant(
            settings=_SETTINGS, proxied=_PROXIED, patches=("tests.faults.f16_data_platform.platform_believed_blindly",)
        )


class PlatformSilent(_PlatformInTrouble):
    """It accepts requests and does not respond, or sends a byte a second."""

    number = "F16b"
    title = "data platform silent"
    protection = "an order does not wait for the data platform"
    control_shows = "over 3.0 s, during"
    # F16a includes both.
    in_short = False

    def control(self) -> Variant:
        more = {
            "DATA_PLATFORM_DELIVERY": "sync",
            "DATA_PLATFORM_TIMEOUT_SECONDS": "5",
            "DATA_PLATFORM_BREAKER_FAILURES": "1000",
        }
        return Variant(settings={**_SETTINGS, **more}, proxied=_PROXIED)

    def ways(self) -> list[Callable[[Run], str]]:
        return [_drips, _hangs]


class PlatformSilentInSync(_PlatformInTrouble):
    """Orders are reported before they are answered (`sync`), and wait for at most one timeout."""

    number = "F16c"
    title = "data platform silent, sync"
    protection = "a report has a deadline for all of it, not for each byte"
    control_shows = "over 5.0 s, during"
    in_short = False
    # Two timeouts: a request may wait for the threads of other requests.
    slowest_order_seconds = 5.0

    def variant(self) -> Variant:
        return _SYNC

    def control(self) -> Variant:
        return replace(_SYNC, patches=("tests.faults.f16_data_platform.only_bytes_have_a_deadline",))

    def strike(self, run: Run) -> str:
        proxy = run.shop.proxies["data-platform"]
        proxy.cut()
        before = proxy.connections
        proxy.drip(1.0)
        if not run.wait_until(lambda: proxy.connections > before, seconds=_HAPPENS_WITHIN_SECONDS):
            raise NotFired("nobody called the data platform while it dripped")
        run.pause(_DRIPPED_SECONDS)
        proxy.pass_on()
        return f"dripped to {proxy.connections - before} connections, {_hangs(run)}"


def _refuses(run: Run) -> str:
    return _happens(run, "refused", Proxy.refuse)


def _drips(run: Run) -> str:
    return _happens(run, "dripped", lambda proxy: proxy.drip(1.0))


def _hangs(run: Run) -> str:
    return _happens(run, "hung", Proxy.stall)


def _resets(run: Run) -> str:
    proxy = run.shop.proxies["data-platform"]
    before = proxy.answers_lost
    proxy.lose_answer_to(b"POST ")
    if not run.wait_until(lambda: proxy.answers_lost > before, seconds=_HAPPENS_WITHIN_SECONDS):
        raise NotFired("no report was cut off from its answer")
    return "reset 1"


def _fails(run: Run) -> str:
    with closing(Partner(500)) as partner:
        return _happens(run, "500", lambda proxy: proxy.lead_to(LOOPBACK, partner.port), status=500)


def _is_busy(run: Run) -> str:
    with closing(Partner(429, retry_after_seconds=1)) as partner:
        return _happens(run, "429", lambda proxy: proxy.lead_to(LOOPBACK, partner.port), status=429)


def _happens(run: Run, name: str, begin: Callable[[Proxy], object], *, status: int = 0) -> str:
    """Start the fault; returns when the delivery log has failures of this kind that began after it. Raises NotFired."""
    began_at = timezone.now()
    begin(run.shop.proxies["data-platform"])
    failed = 0

    def has_failed() -> bool:
        nonlocal failed
        row = sql.fetch_one(_CALLED_SINCE, [began_at, status])
        failed = row[0] if row else 0
        return failed > 0

    if not run.wait_until(has_failed, seconds=_HAPPENS_WITHIN_SECONDS):
        raise NotFired(f"no delivery failed while the data platform {name}")
    return f"{name} {failed}"


def platform_believed_blindly() -> None:
    """A report counts as delivered once it was sent, whatever the response."""
    deliver = data_platform.DataPlatformSink.deliver

    def believe(self: data_platform.DataPlatformSink, messages: Sequence[Message]) -> Outcomes:
        return {message_id: _believed(outcome) for message_id, outcome in deliver(self, messages).items()}

    data_platform.DataPlatformSink.deliver = believe  # type: ignore[method-assign]  # that is the point


def _believed(outcome: Outcome) -> Outcome:
    return Acknowledged(outcome.call) if isinstance(outcome, Failure) and outcome.call else outcome


def only_bytes_have_a_deadline() -> None:
    """A report continues as long as data arrives."""

    class Patient(SocketDeadline):
        def _shut(self) -> None:
            """Never."""

    @contextmanager
    def watched(seconds: float) -> Iterator[SocketDeadline]:
        yield Patient(seconds)

    def wait(call: "Future[Outcome]", deadline: float, clock: object) -> Outcome:
        return call.result()

    data_platform.sockets_shut_after = watched  # type: ignore[attr-defined]  # imported there
    data_platform._result = wait
