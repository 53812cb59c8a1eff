"""The output and the command lines of wrk and pgbench."""

import json
from pathlib import Path

import pytest

from benchmarks import pgbench, wrk
from benchmarks.bench import require_all, sample
from benchmarks.errors import BenchmarkFailed, ProgramMissing, WrongAnswer
from benchmarks.wrk import Load, Report

TOLD = {
    "requests": 100, "duration_us": 2_000_000, "bytes": 5_000, "sent_most": 116, "counted": 100,
    "statuses": {"200": 98, "409": 2}, "connect": 0, "read": 0, "write": 0, "status": 2, "timeout": 0,
    "p50_us": 1_500, "p95_us": 2_500, "p99_us": 3_500, "max_us": 4_000,
}  # fmt: skip
PGBENCH = """transaction type: charge.sql
number of transactions actually processed: 600
number of failed transactions: 0 (0.000%)
latency average = 2.667 ms
tps = 300.000000 (without initial connection time)
"""


def printed(**changed: object) -> str:
    return "Running 2s test\n  16 connections\n" + json.dumps({**TOLD, **changed}) + "\n"


def report(**changed: object) -> Report:
    return wrk.parsed(printed(**changed))


def test_wrks_report_is_the_line_of_json():
    parsed = report()
    assert (parsed.requests, parsed.seconds, parsed.rate, parsed.sent) == (100, 2.0, 50.0, 116)
    assert (parsed.p50_ms, parsed.p95_ms, parsed.p99_ms) == (1.5, 2.5, 3.5)
    assert parsed.statuses == {200: 98, 409: 2}


def test_without_a_report_the_run_fails_with_the_output_of_wrk():
    with pytest.raises(BenchmarkFailed, match="cannot open tokens"):
        wrk.parsed("Running 2s test\n", "cannot open tokens")


def test_a_status_that_nobody_counted_is_not_lost():
    assert report(counted=90, statuses={"200": 90}).statuses == {200: 90, 0: 10}


def test_lost_connections_and_late_answers_are_failures():
    assert report(connect=1, read=2, write=3, timeout=4).failed == 10


def test_reads_are_all_200_unless_wrk_saw_a_refusal():
    assert report(statuses={}, counted=0, status=0).with_status(200) == 100
    assert report(statuses={}, counted=0, status=3).with_status(200) == 97


@pytest.mark.parametrize(
    "changed", [{"statuses": {}, "counted": 0, "status": 1}, {"statuses": {"200": 100}, "read": 1}]
)
def test_one_other_answer_among_reads_fails_the_run(changed: dict[str, object]):
    with pytest.raises(WrongAnswer, match="products"):
        require_all("products", report(**changed), 200)


def test_no_answer_at_all_fails_the_run():
    with pytest.raises(WrongAnswer):
        require_all("products", report(requests=0, counted=0, statuses={}, status=0), 200)


def test_a_sample_counts_right_answers_only():
    measured = sample(report(), {"app": 0.1}, 100, right=98)
    assert (measured.value, measured.errors, measured.cpu_us["app"]) == (49.0, 2, 1_000.0)


def test_wrk_gets_the_files_of_tokens_and_keys():
    load = Load(
        port=8_000, script="charge", connections=64, seconds=3, tokens=Path("/t"), first=5, customers=9, key="run1"
    )
    assert wrk.command("wrk", load)[-1] == "http://127.0.0.1:8000"
    parsed = wrk.environment(load)
    assert (parsed["BENCH_TOKENS"], parsed["BENCH_FIRST"], parsed["BENCH_COUNT"], parsed["BENCH_KEY"]) == (
        "/t",
        "5",
        "9",
        "run1",
    )


def test_who_may_ask_once_is_not_asked_twice():
    load = Load(port=8_000, script="issue", connections=16, seconds=3, customers=115, once=True)
    with pytest.raises(BenchmarkFailed, match="116 requests, and 115 customers"):
        wrk.require_customers(load, report())
    wrk.require_customers(load.by(customers=116), report())


def test_a_load_without_any_answer_is_given_more_time_once(monkeypatch: pytest.MonkeyPatch):
    nothing = report(requests=0, counted=0, statuses={}, status=0)
    asked: list[float] = []

    def answered(load: Load) -> Report:
        asked.append(load.seconds)
        return nothing if len(asked) == 1 else report()

    monkeypatch.setattr(wrk, "_run", answered)
    parsed = wrk.run(Load(port=8_000, script="charge", connections=16, seconds=1))
    assert (asked, parsed.requests) == ([1, 5], 100)


def test_without_wrk_the_error_explains_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(ProgramMissing, match="apt-get install wrk"):
        wrk.program()


def test_pgbenchs_rate_is_the_one_without_connecting():
    parsed = pgbench.parsed(PGBENCH, [1_000, 2_000, 3_000])
    assert (parsed.requests, parsed.rate, parsed.p50_ms) == (600, 300.0, 2.0)


def test_failed_transactions_are_no_limit():
    with pytest.raises(BenchmarkFailed, match="3 transactions"):
        pgbench.parsed(PGBENCH.replace("failed transactions: 0", "failed transactions: 3"), [])


def test_pgbench_without_a_rate_fails_the_run():
    with pytest.raises(BenchmarkFailed, match="no rate"):
        pgbench.parsed("connection failed", [])


def test_pgbench_never_has_more_than_64_clients():
    command = pgbench.command("pgbench", "issue", clients=1_000, seconds=5, variables={"run": 3})
    assert command[command.index("--client") + 1] == "64"
    assert "--define=run=3" in command


def test_the_password_is_not_on_a_command_line():
    parsed = pgbench.connection_variables("postgresql://me:s%40cret@127.0.0.1:6000/shop")
    assert parsed == {
        "PGHOST": "127.0.0.1", "PGPORT": "6000", "PGUSER": "me", "PGPASSWORD": "s@cret", "PGDATABASE": "shop",
    }  # fmt: skip
