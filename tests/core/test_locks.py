"""`locked_transaction`: exclusion, the order of its steps, and cleanup after failures."""

import logging
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from django.conf import settings as project_settings
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from balances.models import User
from balances.operations import Accounts
from commerce.core import locks, redis_services
from commerce.core.errors import LockTimeout
from commerce.core.locks import (
    Held,
    RedisLocks,
    coupon_lock,
    load,
    locked_transaction,
    product_lock,
    single_flight,
    user_lock,
)
from commerce.core.transaction import NewRows
from commerce.embedded.redis_server import Redis
from tests.breaking import as_text, growth_of, kill
from tests.factories import UserFactory
from tests.layers import LOCKS_OFF, switched_off
from tests.shop_state import nothing_changes, statements
from tests.together import (
    MEETING_SECONDS,
    Meeting,
    another_session,
    lock_held,
    meanwhile,
    together,
    wait_until,
    wait_until_blocked,
)

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "user:7:lock"
OTHER = "user:8:lock"
HEALTHY_SECONDS = 10
"""How soon after a fault the shop has recovered, as documented in docs/faults.md."""


def known_keys() -> set[str]:
    return set(map(as_text, redis_services.locks.client.keys("*")))


def known_locks() -> set[str]:
    """The locks in Redis, without the `:next` keys."""
    return {key for key in known_keys() if key.endswith(":lock")}


def two_hold(*keys: str) -> bool:
    """Whether two threads could hold the keys at the same time."""
    meeting = Meeting(MEETING_SECONDS)

    def hold() -> None:
        with locked_transaction(*keys):
            meeting.attend()

    together([hold, hold])
    return meeting.took_place


class TestNames:
    def test_are_the_documented_ones(self) -> None:
        assert (user_lock(1), coupon_lock(2), product_lock(3)) == ("user:1:lock", "coupon:2:lock", "product:3:lock")

    def test_are_seen_in_redis_while_held(self) -> None:
        with locked_transaction(product_lock(2), product_lock(1), product_lock(2)):
            assert known_keys() == {"product:1:lock", "product:2:lock"}
        assert known_keys() == set()

    def test_without_a_key_nothing_is_locked(self) -> None:
        with locked_transaction():
            assert known_keys() == set()
            assert connection.in_atomic_block


class TestExclusion:
    """Exclusion of two staff edits with a common key; without any lock they overlap."""

    def test_redis_locks(self) -> None:
        assert not two_hold(KEY)

    def test_advisory_locks_without_redis(self, own_redis: Redis) -> None:
        kill(own_redis)
        assert not two_hold(KEY)

    def test_no_lock_at_all(self) -> None:
        """The control of the two above."""
        with switched_off(LOCKS_OFF):
            assert two_hold(KEY)

    def test_other_keys_do_not_wait(self) -> None:
        meeting = Meeting(MEETING_SECONDS)

        def hold(key: str) -> Callable[[], None]:
            def run() -> None:
                with locked_transaction(key):
                    meeting.attend()

            return run

        together([hold("user:1:lock"), hold("user:2:lock")])
        assert meeting.took_place

    def test_one_shared_key_is_enough_to_wait(self) -> None:
        meeting = Meeting(MEETING_SECONDS)

        def hold(*keys: str) -> Callable[[], None]:
            def run() -> None:
                with locked_transaction(*keys):
                    meeting.attend()

            return run

        together([hold("product:1:lock", "product:2:lock"), hold("product:3:lock", "product:2:lock")])
        assert not meeting.took_place

    def test_a_single_flight_runs_once(self) -> None:
        meeting = Meeting(MEETING_SECONDS)

        def fly() -> None:
            with single_flight("page:x:lock"):
                meeting.attend()

        together([fly, fly])
        assert not meeting.took_place


class TestWaiting:
    def test_ends_with_a_lock_timeout_that_is_counted(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        entered = False
        with ExitStack() as watch:
            timeouts = watch.enter_context(growth_of("commerce_lock_timeouts_total"))
            watch.enter_context(lock_held(KEY))
            with pytest.raises(LockTimeout) as refusal, locked_transaction(KEY):
                entered = True
        assert isinstance(refusal.value, locks.KeyTimeout)
        assert refusal.value.key == KEY
        assert timeouts.by == 1
        assert not entered

    def test_after_a_timeout_no_lock_is_left(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        with lock_held("product:2:lock"):
            with pytest.raises(LockTimeout), locked_transaction("product:1:lock", "product:2:lock"):
                pass
            assert known_locks() == {"product:2:lock"}
        redis_services.locks.client.flushdb()
        with locked_transaction("product:1:lock", "product:2:lock"):
            assert known_locks() == {"product:1:lock", "product:2:lock"}

    def test_after_a_timeout_no_queue_entry_is_left(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        with lock_held(KEY), pytest.raises(LockTimeout), single_flight(KEY):
            pass
        assert locks._turns._lines == {}

    def test_acquires_all_keys_or_none(self) -> None:
        """A request that waits for one key holds none of the others, so there is no deadlock."""
        with lock_held("product:2:lock"), RedisLocks().held([["product:1:lock", "product:2:lock"]]) as held:
            assert held == Held(["product:2:lock"])
            assert known_locks() == {"product:2:lock"}

    def test_ends_when_the_lock_expires(self, settings: Settings) -> None:
        redis_services.locks.client.set(KEY, "a process that died", px=30)
        with locked_transaction(KEY):
            assert known_keys() == {KEY}


class TestWritesOfOneCall:
    """The locks of a group."""

    def test_are_held_by_each_write_separately(self) -> None:
        wishes = [["user:1:lock"], ["product:1:lock", "product:2:lock"], ["product:1:lock"], []]
        with lock_held("product:2:lock"), RedisLocks().held(wishes) as held:
            assert held == Held([None, "product:2:lock", None, None])
            assert known_locks() == {"user:1:lock", "product:1:lock", "product:2:lock"}
        assert known_locks() == set()

    def test_are_shared_within_the_call_only(self) -> None:
        with RedisLocks().held([[KEY], [KEY, OTHER]]) as ours, RedisLocks().held([[OTHER], [KEY]]) as theirs:
            assert ours.blocked_by == [None, None]
            assert theirs.blocked_by == [OTHER, KEY]

    def test_are_released_once_each(self) -> None:
        with growth_of("commerce_locks_lost_total") as lost, RedisLocks().held([[KEY], [KEY]]):
            assert known_locks() == {KEY}
        assert (known_locks(), lost.by) == (set(), 0)

    def test_two_processes_alternate_on_one_key(self) -> None:
        """The process that found it locked is next; the other process cannot get it before that."""
        one, other = RedisLocks(), RedisLocks()
        with one.held([[KEY]]), other.held([[KEY]]) as held:
            assert held.blocked_by == [KEY]
        with one.held([[KEY]]) as held:
            assert held.blocked_by == [KEY]
        with other.held([[KEY]]) as held:
            assert held.blocked_by == [None]

    def test_a_single_process_reacquires_it_at_once(self) -> None:
        one = RedisLocks()
        for _ in range(2):
            with one.held([[KEY]]) as held:
                assert held.blocked_by == [None]

    def test_an_unused_turn_passes_on(self) -> None:
        one, other = RedisLocks(), RedisLocks()
        with one.held([[KEY]]), other.held([[KEY]]):
            pass
        wait_until(lambda: not redis_services.locks.client.exists(f"{KEY}:next"), "the turn to pass")
        with one.held([[KEY]]) as held:
            assert held.blocked_by == [None]

    def test_without_redis_are_acquired_in_postgresql(self, own_redis: Redis) -> None:
        kill(own_redis)
        with RedisLocks().held([[KEY], [OTHER]]) as held:
            assert held == Held([None, None], is_fallback=True)


class TestOrder:
    """Redis locks → BEGIN → … → COMMIT → committed → locks released → afterwards."""

    def test_of_the_callbacks(self) -> None:
        moments: list[tuple[str, bool, bool]] = []

        def note(name: str) -> None:
            moments.append((name, connection.in_atomic_block, bool(known_keys())))

        with locked_transaction(KEY) as shared:
            shared.afterwards(lambda: note("afterwards"))
            shared.on_committed(lambda: note("committed"))
            note("inside")
        assert moments == [("inside", True, True), ("committed", False, True), ("afterwards", False, False)]

    def test_no_callback_runs_after_a_rollback(self) -> None:
        moments: list[str] = []

        def fail() -> None:
            with locked_transaction(KEY) as shared:
                shared.on_committed(lambda: moments.append("committed"))
                shared.afterwards(lambda: moments.append("afterwards"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert moments == []
        assert known_keys() == set()

    @pytest.mark.parametrize("moment", ["on_committed", "afterwards"])
    def test_a_failure_after_the_commit_is_logged_and_undoes_nothing(
        self, moment: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        user = UserFactory()

        def fail() -> None:
            raise ZeroDivisionError("after the fact")

        with caplog.at_level(logging.ERROR), locked_transaction(KEY) as shared:
            User.objects.filter(pk=user.pk).update(first_name="Jimin")
            getattr(shared, moment)(fail)
        assert "after the fact" in caplog.text
        user.refresh_from_db()
        assert user.first_name == "Jimin"
        assert known_keys() == set()

    def test_locks_of_a_dead_process_expire(self) -> None:
        # A lock expires after its whole TTL; in the worst case one more request waits in vain.
        assert project_settings.LOCK_TTL_SECONDS + project_settings.LOCK_WAIT_SECONDS <= HEALTHY_SECONDS

    def test_a_lock_is_never_taken_inside_a_transaction(self) -> None:
        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"), locked_transaction(KEY):
            pass

    def test_of_the_statements(self) -> None:
        user = UserFactory()
        with statements() as ran, locked_transaction(KEY) as shared:
            shared[People].add({"id": user.pk, "last_name": "Kim"})
            shared[Letters].add({"id": user.pk, "email": "kim@example.com"})
            User.objects.filter(pk=user.pk).exists()
        assert [statement.split()[0] for statement in ran] == ["BEGIN", "SELECT", "WITH", "COMMIT"]

    def test_an_added_row_that_breaks_a_constraint_undoes_everything(self) -> None:
        user = UserFactory(balance=5)

        def fail() -> None:
            with locked_transaction(KEY) as shared:
                User.objects.filter(pk=user.pk).update(first_name="Jimin")
                shared[Purses].add({"id": user.pk, "balance": -1})

        with nothing_changes(), pytest.raises(IntegrityError, match="user_balance_not_negative"):
            fail()
        assert known_keys() == set()

    def test_rows_are_loaded_under_lock_and_waited_for(self) -> None:
        user = UserFactory(balance=5)

        def edit() -> int:
            with locked_transaction(KEY) as shared:
                shared[Accounts].want([user.pk])
                load(shared)
                account = shared[Accounts].get(user.pk)
                assert account is not None
                return account.balance

        with another_session() as rival:
            rival.execute('UPDATE "user" SET balance = 7 WHERE id = %s', [user.pk])
            with meanwhile(edit) as late:
                wait_until_blocked()
                rival.commit()
                assert late.result() == 7


class People(NewRows):
    """Changes a name with the statement of an added row."""

    INSERT = """
        UPDATE "user" SET last_name = added.last_name
        FROM jsonb_to_recordset(%s::jsonb) AS added (id bigint, last_name text) WHERE "user".id = added.id
    """


class Letters(NewRows):
    INSERT = """
        INSERT INTO idempotency_key (caller_id, key, fingerprint, status, content_type, body, created_at)
        SELECT id, email, '', 200, '', '', now() FROM jsonb_to_recordset(%s::jsonb) AS added (id bigint, email text)
    """


class Purses(NewRows):
    INSERT = """
        UPDATE "user" SET balance = added.balance
        FROM jsonb_to_recordset(%s::jsonb) AS added (id bigint, balance bigint) WHERE "user".id = added.id
    """
