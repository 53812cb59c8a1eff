"""Steady orders while broker, data platform, dispatcher and consumer are paused and killed in turn.

Contains the phases and their measurements. The judge of the faults verifies the result.
"""

import argparse
import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import psycopg
from django.utils import timezone

from commerce.core import sql
from commerce.outbox.publish import event_id_sql
from tests.events import completed_id
from tests.faults.__main__ import KEPT
from tests.faults.caller import Caller
from tests.faults.campaign import say
from tests.faults.crowd import ORDERS, Crowd
from tests.faults.fault import Run
from tests.faults.history import Call, History, Outcome, count
from tests.faults.runner import Plan, Runner, judged, wait_until_orders_come
from tests.faults.scene import set_scene
from tests.faults.servers import Servers
from tests.faults.shop import Shop, Variant

DRAIN_LIMIT_SECONDS = 120.0
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
_STILL_IN_WEB = "the dispatcher threads of the web workers go on"
_STRAGGLERS_SECONDS = 5.0

# Messages that were waiting at the end of the outage and are not delivered yet.
_COMPLETED = event_id_sql("order-completed", '"order".id', "created_at")
_CANCELLED = event_id_sql("order-cancelled", '"order".id', "cancelled_at")
LEFT_OVER = f"""
    SELECT (SELECT count(*) FROM outbox_message
            WHERE sent_at IS NULL AND parked_at IS NULL AND created_at <= %(moment)s)
         + (SELECT count(*) FROM "order" WHERE completed_at <= %(moment)s AND NOT EXISTS (
                SELECT FROM processed_event WHERE event_id = {_COMPLETED}))
         + (SELECT count(*) FROM "order" WHERE cancelled_at <= %(moment)s AND NOT EXISTS (
                SELECT FROM processed_event WHERE event_id = {_CANCELLED}))
"""  # noqa: S608  # our own text


@dataclass(frozen=True)
class Outage:
    """A part that is made unavailable for a while. `note` describes what is left of it."""

    name: str
    strike: Callable[[Run], object]
    heal: Callable[[Run], object]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Measurements during an outage or without one. Latencies are those of orders, in milliseconds.

    `drain_seconds`: from the end of the phase until everything from before it had been delivered and counted.
    """

    name: str
    note: str
    seconds: float
    acknowledged: int
    refused: int
    unknown: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    drain_seconds: float | None


def outages(*, broker_may_die: bool) -> list[Outage]:
    """Each part paused, then killed; only a persistent broker may be killed."""
    return [
        Outage("broker paused", lambda run: run.servers.kafka.pause(), lambda run: run.servers.kafka.resume()),
        *(
            [Outage("broker dead", lambda run: run.servers.kafka.kill(), lambda run: run.servers.kafka.recover())]
            if broker_may_die
            else []
        ),
        Outage("data platform paused", lambda run: run.servers.sink.pause(), lambda run: run.servers.sink.resume()),
        Outage("data platform dead", lambda run: run.servers.sink.kill(), lambda run: run.servers.sink.start()),
        Outage(
            "dispatcher paused",
            lambda run: run.shop.relay.pause(),
            lambda run: run.shop.relay.resume(),
            f"relay_outbox stopped, perhaps with its turn in hand; {_STILL_IN_WEB}",
        ),
        Outage(
            "dispatcher dead",
            lambda run: run.shop.relay.kill(),
            lambda run: run.shop.relay.start(),
            f"relay_outbox killed; {_STILL_IN_WEB}",
        ),
        Outage("consumer paused", lambda run: run.shop.consumer.pause(), lambda run: run.shop.consumer.resume()),
        Outage("consumer dead", lambda run: run.shop.consumer.kill(), lambda run: run.shop.consumer.start()),
    ]


def run_outages(servers: Servers, asked: argparse.Namespace) -> int:
    """Place orders during all outages, print and write the measurements. 0: nothing was lost."""
    plan = Plan(seconds=0, clients=asked.clients, histories=KEPT)
    runner = Runner(servers, plan)
    try:
        shop = runner.shop(Variant())
        history = History()
        run = Run(servers, shop, set_scene(), history, Random(asked.seed), Caller(shop.port, history, name="main"))
        phases, statistics = _flow(run, asked)
        violations = judged(run, patience_seconds=PATIENCE_SECONDS, reads_topics=True)
        violations += _commands_that_complain(shop)
        violations += _bad_phases(phases)
        history.write(KEPT / "outages.jsonl")
        report = _report(run, phases, statistics, violations, asked)
    finally:
        runner.close_shop()
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(report, indent=1) + "\n")
    say(f"Figures: {asked.json}")
    return 1 if violations else 0


def _flow(run: Run, asked: argparse.Namespace) -> tuple[list[Phase], list[float]]:
    """All phases, and the seconds from an order to its statistic while everything was available."""
    outages_due = outages(broker_may_die=run.servers.makes_topics)
    each_seconds = asked.minutes * 60 / (len(outages_due) + 2)
    crowd = Crowd(
        port=run.shop.port,
        scene=run.scene,
        history=run.history,
        clients=asked.clients,
        seed=asked.seed,
        mix=ORDERS,
        pause_seconds=asked.clients / asked.rate,
    )
    say(f"{asked.clients} clients, {asked.rate:.0f} requests a second, broker: {asked.kafka}, seed {asked.seed}")
    say(_HEADER)
    phases = []
    statistics: list[float] = []
    crowd.start()
    try:
        wait_until_orders_come(run)
        phases.append(_clear(run, "everything up", 2 * each_seconds, statistics))
        phases += [_strike(run, outage, each_seconds) for outage in outages_due]
        phases.append(_clear(run, "everything up again", each_seconds, statistics))
    finally:
        run.shop.recover()
        crowd.stop()
    return phases, statistics


def _clear(run: Run, name: str, seconds: float, statistics: list[float]) -> Phase:
    watch = _StatisticsWatch(run)
    watch.start()
    began = time.monotonic()
    run.pause(seconds)
    ended = time.monotonic()
    statistics += watch.stop()
    return _printed(_phase(run, name, began=began, ended=ended))


def _strike(run: Run, outage: Outage, seconds: float) -> Phase:
    began = time.monotonic()
    outage.strike(run)
    try:
        run.pause(seconds)
    finally:
        ended = time.monotonic()
        outage.heal(run)
    drain_seconds = _seconds_to_drain(run)
    return _printed(_phase(run, outage.name, began=began, ended=ended, note=outage.note, drain_seconds=drain_seconds))


def _seconds_to_drain(run: Run) -> float | None:
    """Seconds until all current messages are delivered and counted; None if they were not."""
    began, moment = time.monotonic(), timezone.now()

    def drained() -> bool:
        row = sql.fetch_one(LEFT_OVER, {"moment": moment})
        return row is not None and row[0] == 0

    return time.monotonic() - began if run.wait_until(drained, seconds=DRAIN_LIMIT_SECONDS) else None


class _StatisticsWatch(threading.Thread):
    """Polls every 20 ms which of the acknowledged orders have been counted."""

    def __init__(self, run: Run) -> None:
        super().__init__(daemon=True, name="statistics-watch")
        self._run = run
        self._since = time.monotonic()
        self._until: float | None = None
        self._seconds: list[float] = []
        self._seen: set[int] = set()

    def stop(self) -> list[float]:
        """Wait for the last orders of the phase; returns the seconds from each order to its statistic."""
        self._until = time.monotonic()
        self.join(_STRAGGLERS_SECONDS + 5)
        return self._seconds

    def run(self) -> None:
        url = self._run.servers.database_url(self._run.shop.database)
        waiting: dict[str, datetime] = {}
        with psycopg.connect(url, autocommit=True) as connection:
            while self._until is None or (waiting and time.monotonic() < self._until + _STRAGGLERS_SECONDS):
                waiting |= self._new_orders()
                rows = connection.execute(
                    "SELECT event_id, clock_timestamp() FROM processed_event WHERE event_id = ANY(%s)", [list(waiting)]
                ).fetchall()
                for event_id, now in rows:
                    self._seconds.append((now - waiting.pop(event_id)).total_seconds())
                time.sleep(POLL_SECONDS)

    def _new_orders(self) -> dict[str, datetime]:
        new = {}
        for call in self._run.history.calls:
            in_time = call.sent_at >= self._since and (self._until is None or call.sent_at < self._until)
            if in_time and call.kind == "order" and call.status == 200 and call.number not in self._seen:
                self._seen.add(call.number)
                new[completed_id(call.json)] = datetime.fromisoformat(call.json["createdAt"])
        return new


# --- Figures ---------------------------------------------------------------------------------------------------------

_HEADER = (
    f"{'phase':<22}{'seconds':>8}{'orders ok':>10}{'refused':>8}{'unknown':>8}"
    f"{'p50 ms':>8}{'p95 ms':>8}{'p99 ms':>8}{'drained s':>10}"
)


def _phase(
    run: Run, name: str, *, began: float, ended: float, note: str = "", drain_seconds: float | None = None
) -> Phase:
    orders = [call for call in run.history.calls if call.kind == "order" and began <= call.sent_at < ended]
    counted = count(orders)
    answered_ms = [call.seconds * 1_000 for call in orders if call.status is not None]
    return Phase(
        name=name,
        note=note,
        seconds=round(ended - began, 1),
        acknowledged=counted[Outcome.ACKNOWLEDGED],
        refused=counted[Outcome.REFUSED],
        unknown=counted[Outcome.UNKNOWN],
        p50_ms=percentile(answered_ms, 50),
        p95_ms=percentile(answered_ms, 95),
        p99_ms=percentile(answered_ms, 99),
        drain_seconds=drain_seconds if drain_seconds is None else round(drain_seconds, 2),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile; 0.0 for no values."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 1) if ordered else 0.0


def _printed(phase: Phase) -> Phase:
    drained = "" if phase.drain_seconds is None else f"{phase.drain_seconds:.2f}"
    say(
        f"{phase.name:<22}{phase.seconds:>8.1f}{phase.acknowledged:>10}{phase.refused:>8}{phase.unknown:>8}"
        f"{phase.p50_ms:>8.1f}{phase.p95_ms:>8.1f}{phase.p99_ms:>8.1f}{drained:>10}  {phase.note}".rstrip()
    )
    return phase


def _bad_phases(phases: Sequence[Phase]) -> list[str]:
    """No order is lost in an outage, because these parts are not needed to place one."""
    found = [f"no order was acknowledged while: {phase.name}" for phase in phases if not phase.acknowledged]
    found += [f"{phase.unknown} orders failed while: {phase.name}" for phase in phases if phase.unknown]
    return found + [
        f"not drained within {DRAIN_LIMIT_SECONDS:.0f} s after: {phase.name}"
        for phase in phases
        if phase.drain_seconds is None and not phase.name.startswith("everything")
    ]


def _commands_that_complain(shop: Shop) -> list[str]:
    """The findings of the operators' commands at the end."""
    today = timezone.localdate()
    days = ("--from", str(today - timedelta(days=1)), "--to", str(today))
    found = []
    for command in (
        ("backfill_product_stats", *days, "--dry-run"),
        ("check_invariants", "--quiet-system"),
        ("outbox_status",),
    ):
        try:
            shop.manage(*command)
        except subprocess.CalledProcessError as failure:
            found.append(f"{' '.join(command)}: exit code {failure.returncode}: {failure.stdout}{failure.stderr}")
    return found


def _report(
    run: Run, phases: Sequence[Phase], statistics: Sequence[float], violations: Sequence[str], asked: argparse.Namespace
) -> dict[str, Any]:
    calls: Sequence[Call] = [call for call in run.history.calls if call.kind == "order"]
    counted = count(calls)
    milliseconds = [seconds * 1_000 for seconds in statistics]
    in_figures = (len(statistics), percentile(milliseconds, 50), percentile(milliseconds, 95))
    say(f"Orders: {', '.join(f'{number} {outcome}' for outcome, number in counted.items())}.")
    say("From an order to its statistic, everything up: {} orders, p50 {:.0f} ms, p95 {:.0f} ms.".format(*in_figures))
    for violation in violations:
        say(f"  {violation}")
    say(f"{len(violations)} violations." if violations else "Nothing lost: outbox empty, every event told and counted.")
    return {
        "kafka": asked.kafka,
        "seed": asked.seed,
        "clients": asked.clients,
        "orders": dict(counted),
        "order_to_statistic_ms": dict(zip(("orders", "p50", "p95"), in_figures, strict=True)),
        "phases": [asdict(phase) for phase in phases],
        "violations": list(violations),
    }
