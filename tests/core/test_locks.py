"""`locked_transaction`: who waits for whom, in which order things happen, and what is left behind."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import pytest
from django.conf import settings as project_settings
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from balances.models import User
from commerce.core import locks, redis
from commerce.core.errors import LockTimeout
from commerce.core.locks import coupon_lock, locked_transaction, product_lock, single_flight, user_lock
from commerce.embedded.redis import Redis
from tests.breaking import as_text, growth_of, kill
from tests.factories import UserFactory
from tests.layers import LOCKS_OFF, REDIS_LOCKS_OFF, TURNS_OFF, switched_off
from tests.shop_state import nothing_changes, statements
from tests.together import MEETING_SECONDS, Meeting, lock_held, together, turn_held

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "user:7:lock"
OTHER = "user:8:lock"
HEALTHY_SECONDS = 10
"""How soon after a fault the shop is well again, as docs/faults.md promises."""


def known_keys() -> set[str]:
    return set(map(as_text, redis.locks.client.keys("*")))


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
    """Each layer of locking alone keeps two writers apart; without any they meet."""

    def test_all_layers(self) -> None:
        assert not two_hold(KEY)

    def test_turns_in_the_process_alone(self) -> None:
        with switched_off(REDIS_LOCKS_OFF):
            assert not two_hold(KEY)

    def test_redis_locks_alone_as_between_processes(self) -> None:
        with switched_off(TURNS_OFF):
            assert not two_hold(KEY)

    def test_advisory_locks_alone_as_between_processes_without_redis(self, own_redis: Redis) -> None:
        kill(own_redis)
        with switched_off(TURNS_OFF):
            assert not two_hold(KEY)

    def test_no_lock_at_all(self) -> None:
        """The control of the four above."""
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

    def test_a_single_flight_flies_alone(self) -> None:
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

    def test_within_the_process_ends_so_too(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        with turn_held(KEY), pytest.raises(LockTimeout), locked_transaction(KEY):
            pass

    def test_in_vain_leaves_no_lock_and_no_turn_behind(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        with lock_held("product:2:lock"):
            with pytest.raises(LockTimeout), locked_transaction("product:1:lock", "product:2:lock"):
                pass
            assert known_keys() == {"product:2:lock"}
        assert locks._turns._waiting == {}
        with locked_transaction("product:1:lock", "product:2:lock"):
            assert known_keys() == {"product:1:lock", "product:2:lock"}

    def test_takes_all_keys_or_none(self, settings: Settings) -> None:
        """Whoever waits for one key holds none of the others meanwhile, so nobody waits in a circle."""
        settings.LOCK_WAIT_SECONDS = 1.0
        held = locks._Held(("product:1:lock", "product:2:lock"), "token")
        with lock_held("product:2:lock"):
            blocked_at = locks._redis_locks._run(locks._RedisLocks._ACQUIRE, held, 10_000)
            assert blocked_at == 2
            assert known_keys() == {"product:2:lock"}

    def test_ends_when_the_holder_s_time_is_over(self, settings: Settings) -> None:
        redis.locks.client.set(KEY, "a process that died", px=30)
        with locked_transaction(KEY):
            assert known_keys() == {KEY}


class NothingLeft(Exception):
    """There is nothing to wait for."""


class TestBeforeWaiting:
    def test_nobody_looks_where_the_lock_is_free(self) -> None:
        with locked_transaction(KEY, before_waiting=self.nothing_left):
            assert known_keys() == {KEY}

    @pytest.mark.parametrize("held", [lock_held, turn_held], ids=["another process", "another thread"])
    def test_what_the_look_raises_ends_the_write(self, held: Callable[[str], AbstractContextManager[None]]) -> None:
        entered = False
        with ExitStack() as watch:
            watch.enter_context(held(KEY))
            timeouts = watch.enter_context(growth_of("commerce_lock_timeouts_total"))
            with pytest.raises(NothingLeft), locked_transaction(OTHER, KEY, before_waiting=self.nothing_left):
                entered = True
            assert OTHER not in known_keys()
        assert not entered
        assert timeouts.by == 0
        assert locks._turns._waiting == {}

    def test_there_is_one_look_outside_of_any_transaction(self) -> None:
        seen: list[bool] = []
        with lock_held(KEY):

            def look() -> None:
                seen.append(connection.in_atomic_block)
                redis.locks.client.pexpire(KEY, 50)

            with locked_transaction(KEY, before_waiting=look):
                assert connection.in_atomic_block
        assert seen == [False]

    @staticmethod
    def nothing_left() -> None:
        raise NothingLeft


class TestOrder:
    """local turn → Redis locks → BEGIN → … → COMMIT → committed → locks released → released."""

    def test_of_the_moments(self) -> None:
        moments: list[tuple[str, bool, bool]] = []

        def note(name: str) -> None:
            moments.append((name, connection.in_atomic_block, bool(known_keys())))

        with locked_transaction(KEY) as unit:
            unit.on_released(lambda: note("released"))
            unit.on_committed(lambda: note("committed"))
            note("inside")
        assert moments == [("inside", True, True), ("committed", False, True), ("released", False, False)]

    def test_neither_moment_comes_after_a_rollback(self) -> None:
        moments: list[str] = []

        def fail() -> None:
            with locked_transaction(KEY) as unit:
                unit.on_committed(lambda: moments.append("committed"))
                unit.on_released(lambda: moments.append("released"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert moments == []
        assert known_keys() == set()

    @pytest.mark.parametrize("moment", ["on_committed", "on_released"])
    def test_a_failure_after_the_commit_is_logged_and_undoes_nothing(
        self, moment: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        user = UserFactory()

        def fail() -> None:
            raise ZeroDivisionError("after the fact")

        with caplog.at_level(logging.ERROR), locked_transaction(KEY) as unit:
            User.objects.filter(pk=user.pk).update(first_name="Jimin")
            getattr(unit, moment)(fail)
        assert "after the fact" in caplog.text
        user.refresh_from_db()
        assert user.first_name == "Jimin"
        assert known_keys() == set()

    def test_what_a_dead_process_held_is_free_and_waited_for_in_time(self) -> None:
        # A lock lives on for its whole life; whoever asks then waits for it in vain once more, at worst.
        assert project_settings.LOCK_TTL_SECONDS + project_settings.LOCK_WAIT_SECONDS <= HEALTHY_SECONDS

    def test_a_lock_is_never_taken_inside_a_transaction(self) -> None:
        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"), locked_transaction(KEY):
            pass

    def test_of_the_statements(self) -> None:
        user = UserFactory()
        insert = 'UPDATE "user" SET last_name = %s WHERE id = %s'
        with statements() as ran, locked_transaction(KEY) as unit:
            unit.append(insert, ["Kim", user.pk])
            unit.append(insert.replace("last_name", "email"), ["kim@example.com", user.pk + 1])
            User.objects.filter(pk=user.pk).exists()
        assert [statement.split()[0] for statement in ran] == ["BEGIN", "SELECT", "WITH", "COMMIT"]

    def test_an_appended_row_that_breaks_a_constraint_undoes_everything(self) -> None:
        user = UserFactory(balance=5)

        def fail() -> None:
            with locked_transaction(KEY) as unit:
                User.objects.filter(pk=user.pk).update(first_name="Jimin")
                unit.append('UPDATE "user" SET balance = %s WHERE id = %s', [-1, user.pk])

        with nothing_changes(), pytest.raises(IntegrityError, match="user_balance_not_negative"):
            fail()
        assert known_keys() == set()
