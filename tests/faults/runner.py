"""One run of a fault with one seed: load, injection of the fault, waiting until the system is idle, the judge.

Contains the order of these steps and the shop between runs. Violations are defined by the judge and the fault.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import redis
from django.conf import settings
from django.db import connection

from commerce.core.group_commit import close_idle_connections
from commerce.embedded.errors import EmbeddedError
from tests.faults.caller import Caller
from tests.faults.crowd import MIX, PAUSE_SECONDS, Crowd
from tests.faults.fault import Fault, NotFired, Run, Shot, seconds_until_well
from tests.faults.history import Call, History, Outcome, count
from tests.faults.judge import broken_invariants, judge, not_reported
from tests.faults.quiet import under_way, wait_for_quiet
from tests.faults.retries import retry_unknown
from tests.faults.scene import set_scene
from tests.faults.servers import Servers
from tests.faults.shop import Shop, Variant
from tests.faults.topics import wrong_in_topics

WARM_UP_ORDERS = 20
_WARM_UP_SECONDS = 30.0
_SHORTEST_JUDGED_SECONDS = 1.0
_NO_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything.

    Attributes:
        seconds: how long the fault is injected repeatedly; at least once.
        mix, pause_seconds: the requests of the load, and their rate.
        histories: where the histories of runs with violations are kept.
    """

    seconds: float
    clients: int
    histories: Path
    mix: Mapping[str, int] = field(default_factory=lambda: MIX)
    pause_seconds: float = PAUSE_SECONDS


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the table. `recovery_seconds` and `slowest_seconds` are the maxima of the run."""

    fault: str
    title: str
    seed: int
    is_control: bool
    shots: Sequence[str]
    acknowledged: int
    refused: int
    unknown: int
    violations: Sequence[str]
    recovery_seconds: float
    slowest_seconds: float
    control_shows: Sequence[str]

    @property
    def passed(self) -> bool:
        """A run without violations; a control with the expected violations."""
        return not (self.not_shown if self.is_control else self.violations)

    @property
    def not_shown(self) -> Sequence[str]:
        """The expected violations of the control that did not occur."""
        return [words for words in self.control_shows if not any(words in each for each in self.violations)]


class Runner:
    """Executes runs one after the other on one set of servers. A shop is reused for as many runs as possible."""

    def __init__(self, servers: Servers, plan: Plan) -> None:
        self.servers = servers
        self.plan = plan
        self._shop: Shop | None = None

    def run(self, fault: Fault, *, seed: int, is_control: bool = False) -> Result:
        """Execute one run. Raises EmbeddedError if the shop cannot be started."""
        shop = self.shop(fault.control() if is_control else fault.variant())
        scene, history = set_scene(), History()
        caller = Caller(shop.port, history, name="main")
        run = Run(self.servers, shop, scene, history, Random(f"{seed}:schedule"), caller)
        crowd = Crowd(
            port=shop.port,
            scene=scene,
            history=history,
            clients=self.plan.clients,
            seed=seed,
            mix=self.plan.mix,
            pause_seconds=self.plan.pause_seconds,
        )
        violations: list[str] = []
        try:
            violations += self._strike_while_shopping(fault, run, crowd)
            by_crowd = count(call for call in history.calls if call.is_write)
            violations += judged(run, patience_seconds=fault.patience_seconds, reads_topics=fault.reads_topics)
            violations += fault.judge(run) + run.wrong
        except (NotFired, EmbeddedError) as failure:
            violations.append(f"{type(failure).__name__}: {failure}")
            by_crowd = count(call for call in history.calls if call.is_write)
        finally:
            caller.close()
        if not by_crowd[Outcome.ACKNOWLEDGED]:
            violations.append("not one request was acknowledged: the run proves nothing")
        if violations:
            name = f"{fault.number}-{seed}{'-control' if is_control else ''}.jsonl"
            history.write(self.plan.histories / name)
        if violations or is_control:
            # The next run must not find leftovers of this one.
            self.close_shop()
        return Result(
            fault=fault.number,
            title=fault.title,
            seed=seed,
            is_control=is_control,
            shots=[shot.what for shot in run.shots],
            acknowledged=by_crowd[Outcome.ACKNOWLEDGED],
            refused=by_crowd[Outcome.REFUSED],
            unknown=by_crowd[Outcome.UNKNOWN],
            violations=violations,
            recovery_seconds=max((shot.recovery_seconds or 0.0 for shot in run.shots), default=0.0),
            slowest_seconds=max((call.seconds for call in history.calls), default=0.0),
            control_shows=[shows] if isinstance(shows := fault.control_shows, str) else shows,
        )

    def shop(self, variant: Variant) -> Shop:
        """A shop of this variant: the running one, or a new one with a separate database."""
        if self._shop is not None and self._shop.variant == variant:
            self._shop.recover()
            return self._shop
        self.close_shop()
        self._shop = Shop(self.servers, variant)
        use_database(self._shop.database)
        self._shop.start()
        return self._shop

    def close_shop(self) -> None:
        """Stop the running shop, whatever its state."""
        if self._shop is not None:
            connection.close()
            self._shop.release()
            self._shop.stop()
            self._shop = None

    def _strike_while_shopping(self, fault: Fault, run: Run, crowd: Crowd) -> list[str]:
        """Generate load and inject the fault; returns violations of the shots."""
        crowd.start()
        try:
            wait_until_orders_come(run)
            until = time.monotonic() + self.plan.seconds
            while len(run.shots) < fault.fewest_shots or (
                time.monotonic() < until and len(run.shots) < fault.most_shots
            ):
                run.pause(run.random.uniform(*fault.gap_seconds))
                _shoot(fault, run)
        finally:
            run.shop.recover()
            crowd.stop()
        return [sentence for shot in run.shots for sentence in _wrong_with(fault, shot, run.history.calls)]


def judged(run: Run, *, patience_seconds: float, reads_topics: bool) -> list[str]:
    """The violations after the load has stopped: when the system is idle, and again after the retries."""
    came_to_rest = wait_for_quiet(patience_seconds=patience_seconds, pause=run.pause) is not None
    found = judge(run.history.calls, run.scene)
    found += retry_unknown(run.history, run.caller, run.scene, random=run.random)
    # Messages that are not delivered by then will not be delivered now.
    patience_left = patience_seconds if came_to_rest else _NO_PATIENCE_SECONDS
    if wait_for_quiet(patience_seconds=patience_left, pause=run.pause) is None:
        messages, events = under_way()
        found.append(f"not quiet: {messages} messages wait, {events} order events are not counted")
    calls = run.history.calls
    found += [sentence for sentence in judge(calls, run.scene) if sentence not in found]
    found += broken_invariants(quiet_system=True)
    found += not_reported(calls, run.servers.reported_keys())
    found += locks_without_end(run.servers.lock_redis_client())
    if reads_topics:
        prefix = run.shop.environment["KAFKA_TOPIC_PREFIX"]
        found += wrong_in_topics(run.servers.kafka.bootstrap_servers, prefix=prefix)
    return found


def use_database(name: str) -> None:
    """Connect the harness's own Django to this database."""
    connection.close()
    close_idle_connections()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


def wait_until_orders_come(run: Run) -> None:
    """Wait until the load has placed an order. Raises NotFired."""

    def orders() -> int:
        return sum(call.kind == "order" and call.status == 200 for call in run.history.calls)

    if not run.wait_until(lambda: orders() >= WARM_UP_ORDERS, seconds=_WARM_UP_SECONDS):
        raise NotFired(f"fewer than {WARM_UP_ORDERS} orders in {_WARM_UP_SECONDS:.0f} s before the first shot")


def _shoot(fault: Fault, run: Run) -> None:
    struck_at = time.monotonic()
    shot = Shot(fault.strike(run), struck_at)
    run.shots.append(shot)
    try:
        run.pause(run.random.uniform(*fault.hold_seconds))
    finally:
        shot.healed_at = time.monotonic()
        fault.heal(run)
    shot.recovery_seconds = seconds_until_well(fault, run)


def _wrong_with(fault: Fault, shot: Shot, calls: Sequence[Call]) -> list[str]:
    found = []
    if shot.recovery_seconds is None or shot.recovery_seconds > fault.healthy_seconds:
        took = "not at all" if shot.recovery_seconds is None else f"after {shot.recovery_seconds:.1f} s"
        found.append(f"healthy again {took}, not within {fault.healthy_seconds:.0f} s, after: {shot.what}")
    meanwhile = [call for call in calls if shot.struck_at <= call.sent_at < shot.healed_at]
    if fault.sells_on and shot.healed_at - shot.struck_at >= _SHORTEST_JUDGED_SECONDS:
        orders = [call for call in meanwhile if call.kind == "order"]
        if not any(call.status == 200 for call in orders):
            found.append(f"no order was acknowledged during: {shot.what}")
        found += [f"{call} failed during: {shot.what}" for call in orders if call.failed][:3]
    limit = fault.slowest_order_seconds
    if limit is not None:
        slow = [call for call in meanwhile if call.kind == "order" and call.seconds > limit]
        found += [f"{call} took {call.seconds:.1f} s, over {limit} s, during: {shot.what}" for call in slow[:3]]
    return found


def locks_without_end(client: redis.Redis) -> list[str]:
    """Violations for locks in Redis without an expiry. Closes the client."""
    try:
        # -1: exists without an expiry; -2: deleted since it was listed.
        endless = [key for key in client.scan_iter("*:lock") if client.pttl(key) == -1]
    finally:
        client.close()
    return [f"lock {key.decode()} has no TTL" for key in endless]
