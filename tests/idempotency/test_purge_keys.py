"""`purge_idempotency_keys`: a response is deleted when it cannot be replayed any more, and not before."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection
from django.utils import timezone
from pytest_django import Settings

from commerce.core import repeated, sql
from commerce.core.locks import locked_transaction
from commerce.idempotency import purge
from commerce.idempotency.claims import Answer, Answers, Claim, earlier_answer
from commerce.idempotency.models import IdempotencyKey
from commerce.idempotency.purge import purge_keys
from tests.outbox.manage import call, managed, run
from tests.together import another_session, together, wait_until, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def answered(key: str, *, at: datetime) -> Claim:
    """A request of caller 1 with this key was answered at this time."""
    claim = Claim(1, key, b"f" * 32)
    with locked_transaction() as transaction:
        transaction[Answers].add(claim, Answer(400, "application/problem+json", b"{}"), at)
    IdempotencyKey.objects.filter(key=key).update(created_at=at)
    return claim


def kept() -> list[str]:
    return list(IdempotencyKey.objects.order_by("id").values_list("key", flat=True))


def test_old_responses_are_deleted_and_newer_ones_stay(settings: Settings) -> None:
    settings.IDEMPOTENCY_HOURS = 24
    now = timezone.now()
    answered("a", at=now - timedelta(hours=25))
    answered("b", at=now - timedelta(hours=24))
    answered("c", at=now - timedelta(hours=24) + timedelta(milliseconds=1))
    answered("d", at=now)
    assert purge_keys(now=now) == 2
    assert kept() == ["c", "d"]
    assert purge_keys(now=now) == 0


def test_exactly_the_expired_responses_are_deleted() -> None:
    now = timezone.now()
    claims = [answered(str(hours), at=now - timedelta(hours=hours)) for hours in (1, 23, 25, 100)]
    given = [claim.key for claim in claims if earlier_answer(claim)]
    purge_keys(now=now)
    assert kept() == given == ["1", "23"]


def test_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH_SIZE", 2)
    now = timezone.now()
    for number in range(5):
        answered(str(number), at=now - timedelta(hours=30))
    batches: list[int] = []
    assert purge_keys(now=now, on_batch=batches.append) == 5
    assert batches == [2, 2, 1]


def test_four_concurrent_purges_delete_each_response_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH_SIZE", 3)
    now = timezone.now()
    for number in range(20):
        answered(str(number), at=now - timedelta(hours=30))
    assert sum(together([lambda: purge_keys(now=now)] * 4)) == 20
    assert kept() == []


def test_a_key_locked_by_a_request_is_skipped() -> None:
    now = timezone.now()
    answered("free", at=now - timedelta(hours=30))
    answered("in hand", at=now - timedelta(hours=30))
    with another_session() as request:
        request.execute("DELETE FROM idempotency_key WHERE key = 'in hand'")
        assert purge_keys(now=now) == 1
        request.rollback()
    assert kept() == ["in hand"]


def test_the_command_reports_and_may_be_repeated() -> None:
    answered("old", at=timezone.now() - timedelta(hours=25))
    answered("young", at=timezone.now())
    done = run("purge_idempotency_keys", "--json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)) == (0, "", {"keys": 1})
    again = call("purge_idempotency_keys")
    assert (again.returncode, again.stdout) == (0, "0 idempotency keys purged\n")
    assert kept() == ["young"]


class TestEvery:
    """`--every MINUTES`: a process that purges at an interval."""

    OFTEN = ("purge_idempotency_keys", "--every", "0.001")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_purges_until_sigterm(self, number: signal.Signals) -> None:
        answered("before", at=timezone.now() - timedelta(hours=25))
        answered("young", at=timezone.now())
        with managed(*self.OFTEN, "--json") as purging:
            wait_until(lambda: kept() == ["young"], "the first turn")
            answered("meanwhile", at=timezone.now() - timedelta(hours=25))
            wait_until(lambda: kept() == ["young"], "another turn")
            assert purging.stop(number) == 0
        *turns, last = [line.strip() for line in purging.lines]
        assert last == "Purge stopped"
        assert sum(json.loads(turn)["keys"] for turn in turns) == 2

    def test_sigterm_interrupts_the_pause(self) -> None:
        with managed("purge_idempotency_keys", "--every", "60") as purging:
            wait_until(lambda: purging.printed("0 idempotency keys purged"), "the first turn")
            assert purging.stop() == 0

    def test_sigterm_finishes_the_current_batch(self) -> None:
        long_ago = timezone.now() - timedelta(hours=30)
        claim = answered("0", at=long_ago)
        sql.execute(ANSWERED_AS_WELL, [purge.BATCH_SIZE, claim.key])
        patient = {"DATABASE_LOCK_TIMEOUT_MS": "60000", "DATABASE_STATEMENT_TIMEOUT_MS": "60000"}
        with another_session() as other:
            other.execute("LOCK TABLE idempotency_key IN EXCLUSIVE MODE")
            with managed(*self.OFTEN, environment=patient) as purging:
                wait_until_blocked()
                purging.process.send_signal(signal.SIGTERM)
                other.rollback()
                assert purging.process.wait(timeout=30) == 0
        assert len(kept()) == 1

    def test_a_database_outage_fails_one_run(self) -> None:
        answered("old", at=timezone.now() - timedelta(hours=25))
        with connections_refused(), managed(*self.OFTEN) as purging:
            wait_until(lambda: purging.printed("could not be purged, next try in 0 s"), "a turn without the database")
            assert kept() == ["old"]
            let_in(allowed=True)
            wait_until(lambda: kept() == [], "a turn with it")
            assert purging.stop() == 0

    def test_control_without_the_catch_it_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stopping = threading.Event()
        monkeypatch.setattr(stopping, "wait", lambda _seconds: stopping.set())

        def keep_failing(**given: Any) -> None:
            stopping.clear()
            repeated.keep_turning(
                lambda: sql.execute("SELECT 1 / 0"),
                every_seconds=60,
                stopping=stopping,
                failed="next in %.0f s: %s",
                **given,
            )

        keep_failing()
        assert stopping.is_set()
        with pytest.raises(DataError):
            keep_failing(failures=(ZeroDivisionError,))

    @pytest.mark.parametrize("minutes", ["0", "-1", "nan", "10081"])
    def test_2_for_an_invalid_interval(self, minutes: str) -> None:
        with pytest.raises(CommandError, match="above 0 and at most 10,080") as refused:
            call_command("purge_idempotency_keys", f"--every={minutes}")
        assert refused.value.returncode == 2


ANSWERED_AS_WELL = """
    INSERT INTO idempotency_key (caller_id, key, fingerprint, status, content_type, body, created_at)
    SELECT caller_id, number::text, fingerprint, status, content_type, body, created_at
    FROM idempotency_key, generate_series(1, %s) AS number
    WHERE key = %s
"""


@contextmanager
def connections_refused() -> Iterator[None]:
    """The database accepts no new connections; existing ones remain. Ends with `let_in`, or with the block."""
    let_in(allowed=False)
    try:
        yield
    finally:
        let_in(allowed=True)


def let_in(*, allowed: bool) -> None:
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    # Not from a session of this database, which must not be locked out itself.
    with psycopg.connect(**connection.get_connection_params() | {"dbname": "postgres"}, autocommit=True) as beside:
        beside.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allowed}".encode())
