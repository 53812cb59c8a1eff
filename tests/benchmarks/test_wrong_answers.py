"""A wrong response, or inconsistent data, fails the run."""

import json
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from balances.models import User
from benchmarks import __main__ as command
from benchmarks import dataset, rounds
from benchmarks.backlog import write_orders
from benchmarks.bench import Bench, Options
from benchmarks.books import Books, Expected
from benchmarks.errors import BenchmarkFailed, WrongAnswer
from benchmarks.line import Line, Outcome
from benchmarks.sample import Sample
from benchmarks.tokens import TokenMint
from benchmarks.wrk import Report
from commerce.core import sql
from tests.books import broken_rules
from tests.factories import UserFactory

EXPECTED = Expected(effect="charge", key="run1", status=200, connections=2)
REPORT = Report(
    requests=3, seconds=1.0, statuses={200: 3}, refused=0, failed=0, sent=5, p50_ms=1.0, p95_ms=1.0, p99_ms=1.0
)
SAMPLE = Sample(value=1.0)
POSTGRES_SETTINGS = ("server_version", "fsync", "synchronous_commit")
SMALL = dataset.Sizes(customers=40, products=5, coupons=4)


@pytest.fixture
def raw(db: None) -> psycopg.Connection:
    """The test's own connection, as psycopg's connection."""
    connection.ensure_connection()
    session: psycopg.Connection = connection.connection
    return session


@pytest.fixture
def books(raw: psycopg.Connection) -> Books:
    return Books(raw)


@pytest.fixture
def customer(db: None) -> User:
    return UserFactory()


def answer(number: int, *, status: int = 200, body: bytes = b"{}", key: str = "run1") -> None:
    sql.execute(
        "INSERT INTO idempotency_key (caller_id, key, fingerprint, status, content_type, body, created_at)"
        " VALUES (1, %s, ''::bytea, %s, 'application/json', %s, now())",
        [f"{key}-0-{number}", status, body],
    )


def charge(customer: User, number: int) -> None:
    sql.execute(
        "INSERT INTO user_balance_tx (user_id, type, amount, balance_after, created_at, entry_hash)"
        " VALUES (%s, 'CHARGE', 1000, %s, now(), %s)",
        [customer.pk, number * 1_000, bytes(32)],
    )


def verify(books: Books, marks: dict[str, int], report: Report = REPORT, expected: Expected = EXPECTED) -> int:
    return books.verify("charge:16", expected, report, marks)


def test_each_answer_with_its_ledger_entry_is_right(books: Books, customer: User):
    marks = books.marks()
    for number in range(1, 4):
        answer(number)
        charge(customer, number)
    assert verify(books, marks) == 3


def test_requests_under_way_when_the_load_ended_may_be_answered(books: Books, customer: User):
    marks = books.marks()
    for number in range(1, 6):
        answer(number)
        charge(customer, number)
    assert verify(books, marks) == 5


@pytest.mark.parametrize(
    ("answers", "charges", "message"),
    [
        (3, 2, "ledger entries: 2"),
        (3, 4, "ledger entries: 4"),
        (2, 2, "3 were answered 200, 2 answers are kept"),
        (6, 6, "3 were answered 200, 6 answers are kept"),
    ],
)
def test_another_number_of_entries_or_answers_is_wrong(
    books: Books, customer: User, answers: int, charges: int, message: str
):
    marks = books.marks()
    for number in range(1, answers + 1):
        answer(number)
    for number in range(1, charges + 1):
        charge(customer, number)
    with pytest.raises(WrongAnswer, match=message):
        verify(books, marks)


def test_answers_of_an_earlier_measurement_do_not_count(books: Books, customer: User):
    for number in range(1, 4):
        answer(number, key="run0")
        charge(customer, number)
    with pytest.raises(WrongAnswer, match="0 answers are kept"):
        verify(books, books.marks())


@pytest.mark.parametrize("statuses", [{200: 2, 500: 1}, {200: 2, 400: 1}, {200: 2, 0: 1}])
def test_an_unexpected_status_is_wrong(books: Books, statuses: dict[int, int]):
    with pytest.raises(WrongAnswer, match="expected 200 only"):
        verify(books, books.marks(), replace(REPORT, statuses=statuses))


def test_a_lost_connection_is_wrong(books: Books):
    with pytest.raises(WrongAnswer, match="1 without answer"):
        verify(books, books.marks(), replace(REPORT, failed=1))


def test_a_busy_shop_is_slow_and_not_wrong(books: Books, customer: User):
    marks = books.marks()
    answer(1)
    charge(customer, 1)
    assert verify(books, marks, replace(REPORT, statuses={200: 1, 503: 2})) == 1


def test_a_refusal_with_another_code_is_wrong(books: Books):
    marks = books.marks()
    answer(1, status=400, body=b'{"code":"out_of_stock"}')
    refused = replace(REPORT, requests=1, statuses={400: 1})
    expected = replace(EXPECTED, effect="refusal", status=400, code="out_of_stock")
    assert verify(books, marks, refused, expected) == 1
    with pytest.raises(WrongAnswer, match="0 answers are kept"):
        verify(books, marks, refused, replace(expected, code="coupon_sold_out", connections=0))


def test_a_refusal_that_has_written_something_is_wrong(books: Books, customer: User):
    marks = books.marks()
    answer(1, status=400, body=b'{"code":"out_of_stock"}')
    charge(customer, 1)
    with pytest.raises(WrongAnswer, match="ledger entries: 1"):
        verify(
            books,
            marks,
            replace(REPORT, requests=1, statuses={400: 1}),
            replace(EXPECTED, effect="refusal", status=400, code="out_of_stock"),
        )


@pytest.mark.parametrize("error", [WrongAnswer("charge:16", "3 answered, 2 written"), BenchmarkFailed("no disk")])
def test_the_command_ends_with_exit_code_1_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BenchmarkFailed
):
    def fail(bench: Bench) -> None:
        raise error

    monkeypatch.setattr(Bench, "start", fail)
    assert command.main(["--quick", "--line", "charge"]) == 1
    assert f"FAILED: {error}" in capsys.readouterr().out


def test_a_failure_keeps_the_lines_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def first_passes(_bench: Bench, _lines: list[Line], outcomes: list[Outcome]) -> None:
        outcomes.append(Outcome(line=Line(key="charge:16", title="charge", ours=lambda _bench: SAMPLE), ours=[SAMPLE]))
        raise WrongAnswer("order:16", "3 answered, 2 written")

    monkeypatch.setattr(Bench, "start", lambda bench: setattr(bench, "connection", None))
    monkeypatch.setattr(command, "postgres_settings", lambda _connection: dict.fromkeys(POSTGRES_SETTINGS, "on"))
    monkeypatch.setattr(rounds, "run", first_passes)
    monkeypatch.setattr(command, "FAILED_RUN", tmp_path / "failed.json")
    wanted = tmp_path / "latest.json"
    assert command.main(["--quick", "--line", "charge", "--json", str(wanted)]) == 1
    kept = json.loads((tmp_path / "failed.json").read_text())
    assert ([line["line"] for line in kept["lines"]], kept["failure"]) == (
        ["charge:16"],
        "order:16: 3 answered, 2 written",
    )
    assert not wanted.exists()
    assert str(tmp_path / "failed.json") in capsys.readouterr().out


def test_a_name_of_no_line_starts_nothing(capsys: pytest.CaptureFixture[str]):
    assert command.main(["--line", "nothing"]) == 1
    assert "There is no line nothing" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_the_data_set_and_the_backlog_fit_every_invariant():
    connection.ensure_connection()
    raw: psycopg.Connection = connection.connection
    assert list(dataset.load(raw, SMALL))
    sold_out = dataset.new_coupon(raw, units=1)
    held = dataset.held_coupon(raw, customers=10, units=20)
    assert held != sold_out
    write_orders(raw, orders=30, products=SMALL.products, zone="Asia/Seoul")
    assert broken_rules() == set()
    with pytest.raises(BenchmarkFailed, match="holds a shop already"):
        list(dataset.load(raw, SMALL))


def test_tokens_are_signed_as_the_shop_signs_them(settings: object):
    from rest_framework_simplejwt.settings import api_settings
    from rest_framework_simplejwt.tokens import AccessToken

    token = AccessToken(TokenMint(api_settings.SIGNING_KEY).token(42))  # type: ignore[arg-type]
    assert (token["userId"], token["token_type"]) == (42, "access")


def test_a_full_run_measures_three_times_and_a_quick_one_once():
    full, quick = (command.options_of(command.parsed(arguments)) for arguments in ([], ["--quick"]))
    assert (full.rounds, full.sizes.customers) == (3, 200_000)
    assert isinstance(quick, Options)
    assert (quick.rounds, quick.quick) == (1, True)
