"""The shop at its limits: bursts, more connections than possible, and the memory use over time.

Contains the loads and the expected responses. The judge of the faults verifies the data.
"""

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from tests.factories import CouponFactory, ProductFactory
from tests.faults.__main__ import KEPT
from tests.faults.burst import Ask, burst, charge, issue, key_of, order
from tests.faults.caller import Caller
from tests.faults.campaign import say
from tests.faults.crowd import Crowd
from tests.faults.fault import Run
from tests.faults.history import Call, History
from tests.faults.outage_run import percentile
from tests.faults.runner import Plan, Runner, judged
from tests.faults.scene import PLENTY, set_scene
from tests.faults.servers import Servers
from tests.faults.shop import Variant

UNITS = 100
LONGEST_SECONDS = 10.0
_BALANCE_WON = 10_000_000
_PATIENCE_SECONDS = 60.0
_SAMPLE_SECONDS = 5.0
_WARM_UP_SHARE = 0.3
_GROWTH_SHARE, _GROWTH_MIB = 0.10, 10.0
"""The largest difference of memory between the part after the warm-up and the end that counts as no growth."""


@dataclass(kw_only=True)
class Trial:
    """The result of one load, as a row of the table. Latencies are those of its own requests, in milliseconds."""

    name: str
    requests: int
    answers: dict[str, int]
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    violations: list[str] = field(default_factory=list)


def to_the_edge(servers: Servers, asked: argparse.Namespace) -> int:
    """Run all loads one after the other, each followed by the judge; 0 if there was no violation."""
    # Each connection needs a file descriptor, here and in the web server, which inherits the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    runner = Runner(servers, Plan(seconds=0, clients=asked.clients, histories=KEPT))
    trials: list[Trial] = []
    memory: dict[str, list[float]] = {}
    say(f"{'load':<34}{'requests':>9}{'p50 ms':>8}{'p99 ms':>8}{'slowest':>8}  answers")
    try:
        for name, make, check in (
            ("one coupon", _one_coupon, _sold_out_exactly),
            ("one product", _one_product, _sold_out_exactly),
            ("mixed", _mixed, _somebody_was_served),
        ):
            run = _new_run(runner, servers, asked)
            buyers = [run.scene.newcomer(balance=_BALANCE_WON) for _ in range(asked.buyers)]
            trials.append(_rush(run, make(run, buyers), f"{asked.buyers} at one instant, {name}", check))
        trials.append(_more_than_there_is_room_for(runner, servers, asked))
        if asked.soak_minutes:
            soak, memory = _soak(runner, servers, asked)
            trials.append(soak)
    finally:
        runner.close_shop()
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(
        json.dumps({"trials": [asdict(each) for each in trials], "memory_mib": memory}, indent=1) + "\n"
    )
    say(f"Figures: {asked.json}")
    return 1 if any(trial.violations for trial in trials) else 0


def _new_run(runner: Runner, servers: Servers, asked: argparse.Namespace) -> Run:
    shop = runner.shop(Variant())
    history = History()
    return Run(servers, shop, set_scene(), history, Random(asked.seed), Caller(shop.port, history, name="main"))


def _rush(run: Run, asks: Sequence[Ask], name: str, check: Callable[[Sequence[Call]], list[str]]) -> Trial:
    calls = burst(run, asks)
    trial = _trial(name, calls)
    trial.violations += check(calls) + _never_answered(calls)
    return _judged(run, trial)


def _one_coupon(run: Run, buyers: Sequence[int]) -> list[Ask]:
    coupon_id = CouponFactory(total_quantity=UNITS).pk
    return [issue(user_id, coupon_id, key=key_of(run)) for user_id in buyers]


def _one_product(run: Run, buyers: Sequence[int]) -> list[Ask]:
    product_id = ProductFactory(stock=UNITS).pk
    return [order(user_id, {product_id: 1}, key=key_of(run)) for user_id in buyers]


def _mixed(run: Run, buyers: Sequence[int]) -> list[Ask]:
    """Orders of two products, a coupon, and charges."""
    coupon_id = CouponFactory(total_quantity=UNITS).pk
    scarce, plenty = ProductFactory(stock=UNITS).pk, ProductFactory(stock=PLENTY).pk
    kinds: list[Callable[[int], Ask]] = [
        lambda user_id: order(user_id, {scarce: 1}, key=key_of(run)),
        lambda user_id: order(user_id, {plenty: 2, scarce: 1}, key=key_of(run)),
        lambda user_id: issue(user_id, coupon_id, key=key_of(run)),
        lambda user_id: charge(user_id, 1_000, key=key_of(run)),
    ]
    return [kinds[number % len(kinds)](user_id) for number, user_id in enumerate(buyers)]


def _sold_out_exactly(calls: Sequence[Call]) -> list[str]:
    sold = sum(call.status == 200 for call in calls)
    turned_away = sum(call.status == 503 for call in calls)
    if sold > UNITS or (sold < UNITS and not turned_away):
        return [f"{sold} of {UNITS} units were sold, and {turned_away} were asked to come back"]
    return []


def _somebody_was_served(calls: Sequence[Call]) -> list[str]:
    return [] if any(call.status == 200 for call in calls) else ["nobody was served"]


def _more_than_there_is_room_for(runner: Runner, servers: Servers, asked: argparse.Namespace) -> Trial:
    """Requests above the limit are refused quickly."""
    run = _new_run(runner, servers, asked)
    product_id = ProductFactory(stock=PLENTY).pk
    users = run.scene.users
    asks = [order(users[number % len(users)], {product_id: 1}, key=key_of(run)) for number in range(asked.connections)]
    calls = burst(run, asks, more_than_room=True)
    trial = _trial(f"{asked.connections} connections", calls)
    trial.violations += _never_answered(calls) + _somebody_was_served(calls)
    if not any(call.status == 503 for call in calls):
        trial.violations.append("there was room for everybody: the limit was not reached, and nothing is shown")
    return _judged(run, trial)


def _soak(runner: Runner, servers: Servers, asked: argparse.Namespace) -> tuple[Trial, dict[str, list[float]]]:
    """Steady load, and the memory of every process of the shop meanwhile, in MiB."""
    run = _new_run(runner, servers, asked)
    shop = run.shop
    crowd = Crowd(
        port=shop.port,
        scene=run.scene,
        history=run.history,
        clients=asked.clients,
        seed=asked.seed,
        pause_seconds=0.1,
    )
    memory: dict[str, list[float]] = {}
    until = time.monotonic() + asked.soak_minutes * 60
    crowd.start()
    try:
        while time.monotonic() < until:
            run.pause(_SAMPLE_SECONDS)
            processes = {"relay": shop.relay.pid, "consumer": shop.consumer.pid}
            processes |= {f"web worker {number}": pid for number, pid in enumerate(shop.web.workers(), start=1)}
            for name, pid in processes.items():
                memory.setdefault(name, []).append(_resident_mib(pid))
    finally:
        crowd.stop()
    trial = _trial(f"{asked.soak_minutes:.0f} minutes of {asked.clients} clients", run.history.calls)
    trial.violations += [f"{name} ended and was started again" for name in shop.restarts]
    trial.violations += [sentence for name, mib in memory.items() for sentence in _growth(name, mib)]
    return _judged(run, trial), memory


def _growth(name: str, mib: Sequence[float]) -> list[str]:
    """Compare the mean of the tenth after the warm-up with that of the last tenth."""
    part = max(1, len(mib) // 10)
    first = int(len(mib) * _WARM_UP_SHARE)
    before = sum(mib[first : first + part]) / part
    after = sum(mib[-part:]) / part
    say(f"  {name}: {mib[0]:.0f} MiB at the start, {before:.0f} after the warm-up, {after:.0f} at the end")
    if after > before * (1 + _GROWTH_SHARE) + _GROWTH_MIB:
        return [f"{name} grew from {before:.0f} to {after:.0f} MiB"]
    return []


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _never_answered(calls: Sequence[Call]) -> list[str]:
    silent = [call for call in calls if call.status is None]
    slow = [call for call in calls if call.seconds > LONGEST_SECONDS]
    found = [f"{len(silent)} had no answer, the first: {silent[0]} ({silent[0].trouble})"] if silent else []
    return found + ([f"{len(slow)} waited longer than {LONGEST_SECONDS:.0f} s"] if slow else [])


def _trial(name: str, calls: Sequence[Call]) -> Trial:
    milliseconds = [call.seconds * 1_000 for call in calls]
    answers = Counter(f"{call.status} {call.code or ''}".strip() for call in calls)
    return Trial(
        name=name,
        requests=len(calls),
        answers=dict(answers.most_common()),
        p50_ms=percentile(milliseconds, 50),
        p99_ms=percentile(milliseconds, 99),
        slowest_ms=round(max(milliseconds, default=0.0), 1),
    )


def _judged(run: Run, trial: Trial) -> Trial:
    answers = ", ".join(f"{number} x {answer}" for answer, number in trial.answers.items())
    figures = "".join(f"{each:>8.0f}" for each in (trial.p50_ms, trial.p99_ms, trial.slowest_ms))
    say(f"{trial.name:<34}{trial.requests:>9}{figures}  {answers}")
    trial.violations += judged(run, patience_seconds=_PATIENCE_SECONDS, reads_topics=False)
    run.caller.close()
    for violation in trial.violations:
        say(f"      {violation}")
    return trial
