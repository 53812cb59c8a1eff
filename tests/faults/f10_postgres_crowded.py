"""F10: PostgreSQL is running, but has no free session, no free lock or no disk space."""

import time

import psycopg
from django.db import connection

from commerce.server import problems
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.points import sleep
from tests.faults.shop import Variant

_TAKEN_WITHIN_SECONDS = 20.0
_TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class NoSessionLeft(Fault):
    """Another program uses all sessions of the server, including those of the shop."""

    number = "F10a"
    title = "PostgreSQL sessions exhausted"
    protection = "a database that cannot be reached is 503 and not a defect"
    control_shows = "does not document 500"
    gap_seconds = (0.5, 1.0)
    hold_seconds = (1.0, 3.0)
    most_shots = 5

    def __init__(self) -> None:
        self._taken: list[psycopg.Connection] = []

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f10_postgres_crowded.every_failure_is_a_defect",))

    def strike(self, run: Run) -> str:
        connection.close()
        address = run.servers.database_url("postgres")
        first = psycopg.connect(address, autocommit=True)
        self._taken = [first]
        until = time.monotonic() + _TAKEN_WITHIN_SECONDS
        while True:
            if self._take_all(address) and not first.execute(_TERMINATE, [run.shop.database]).fetchall():
                return f"{len(self._taken)} sessions taken, none left for the shop"
            if time.monotonic() > until:
                self.heal(run)
                raise NotFired("the shop kept sessions")

    def heal(self, run: Run) -> None:
        for each in self._taken:
            each.close()
        self._taken = []

    def _take_all(self, address: str) -> bool:
        """Open sessions until the server refuses; returns whether it did."""
        try:
            while True:
                self._taken.append(psycopg.connect(address, autocommit=True))
        except psycopg.OperationalError as refusal:
            return "too many clients" in str(refusal)


class LockQueue(Fault):
    """A session holds a lock that every order needs, and all other sessions queue behind it."""

    number = "F10b"
    in_short = False
    title = "PostgreSQL lock queue"
    protection = "a statement waits two seconds for a lock, a write three for its turn, its locks and its rows"
    control_shows = "longer than any request may"
    gap_seconds = (0.3, 1.0)
    # Longer than all waits of a request together: for a connection, for its group, for a row.
    hold_seconds = (11.0, 11.5)
    most_shots = 10

    _HELD = (
        "LOCK TABLE product IN ACCESS EXCLUSIVE MODE",
        'LOCK TABLE "order" IN ACCESS EXCLUSIVE MODE',
        "LOCK TABLE idempotency_key IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE outbox_message IN ACCESS EXCLUSIVE MODE",
        'SELECT FROM "user" FOR UPDATE',
        "SELECT FROM product FOR UPDATE",
    )

    def __init__(self) -> None:
        self._holder: psycopg.Connection | None = None

    def control(self) -> Variant:
        unlimited = ("DATABASE_LOCK_TIMEOUT_MS", "DATABASE_STATEMENT_TIMEOUT_MS")
        return Variant(
            settings={**dict.fromkeys(unlimited, "0"), "TRANSACTION_SECONDS": "60", "LOCK_WAIT_SECONDS": "60"}
        )

    def strike(self, run: Run) -> str:
        held = run.random.choice(self._HELD)
        # Transactions wait for a table lock; for a row lock only the writes that need it wait, in the queue.
        point = "order.busy-row"
        before = run.fired(point)
        run.shop.points.arm(point, sleep(0.0))
        self._holder = psycopg.connect(run.servers.database_url(run.shop.database))
        self._holder.execute(held)
        with psycopg.connect(run.servers.database_url("postgres"), autocommit=True) as looking:

            def somebody_waits() -> bool:
                row = looking.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
                    [run.shop.database],
                ).fetchone()
                return run.fired(point) > before or (row is not None and row[0] > 0)

            if not run.wait_until(somebody_waits, seconds=5):
                self.heal(run)
                raise NotFired(f"nobody waited behind: {held}")
        return held

    def heal(self, run: Run) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def every_failure_is_a_defect() -> None:
    """No database error is translated."""
    problems.unavailable = lambda error: None  # type: ignore[attr-defined]  # that is the point
