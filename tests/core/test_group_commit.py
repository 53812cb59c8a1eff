"""Group commit: writes share a transaction, but the failure of one does not affect the others."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import OperationalError
from pytest_django import Settings

from balances.models import LedgerEntry, User
from balances.operations import Ledger
from balances.rules import Entry
from balances.services import charge_balance
from commerce.core import group_commit, sql
from commerce.core.group import Group, Member, Write
from commerce.core.group_commit import MOST_WRITES, Queue, commit
from commerce.core.locks import KeyTimeout, coupon_lock, user_lock
from commerce.core.pipeline import COMMIT, NoAnswer, Pipeline, Rows, Statement
from commerce.core.postgresql.base import give_back_connections
from commerce.core.postgresql.shared import SharedConnections, shared_by_requests
from commerce.core.transaction import Table, Transaction
from commerce.idempotency.claims import AlreadyAnswered, Answer, Claim
from commerce.idempotency.commit import Idempotency
from commerce.idempotency.models import IdempotencyKey
from coupons.models import UserCoupon
from coupons.services import IssueCoupon
from tests.books import broken_rules
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.core.gathering import Parts, arrived, busy_queue, in_one_group, waiting
from tests.factories import CouponFactory, ProductFactory, UserFactory
from tests.groups import before_writing, round_trips
from tests.layers import ONE_LEADER, QUEUE_OFF, switched_off
from tests.shop_state import nothing_changes
from tests.shopper import Answer as Response
from tests.shopper import Shopper
from tests.together import PATIENCE_SECONDS, another_session, lock_held, meanwhile, row_held, together, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 30


@pytest.fixture(autouse=True)
def patient_queues(settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 20.0


def charges(user: User, amount: int = 7) -> Attempt:
    return attempt(lambda: charge_balance(user_id=user.pk, amount=amount, idempotency=Idempotency.none()))


def balances(users: Sequence[User]) -> list[int]:
    found = dict(User.objects.filter(pk__in=[user.pk for user in users]).values_list("pk", "balance"))
    return [found[user.pk] for user in users]


@contextmanager
def groups_seen() -> Iterator[list[tuple[list[Member], int]]]:
    """The members of each group that runs in the block, and the thread that leads it."""
    seen: list[tuple[list[Member], int]] = []
    run = Group.run

    def watched(self: Group, *arguments: Any, **keywords: Any) -> None:
        seen.append((list(self._members), threading.get_ident()))
        run(self, *arguments, **keywords)

    with mock.patch.object(Group, "run", watched):
        yield seen


class TestSharing:
    @pytest.mark.parametrize("size", [1, 2, CROWD, MOST_WRITES])
    def test_a_group_of_any_size_takes_two_round_trips_and_two_redis_calls(self, size: int) -> None:
        users = UserFactory.create_batch(size)
        with arrived([charges(user) for user in users]) as (gate, outcomes), round_trips() as trips:
            gate.open()
            assert [outcome.result(timeout=PATIENCE_SECONDS) for outcome in outcomes] == [DONE] * size
        assert len(trips.postgresql) == 2
        assert trips.locks == 2
        assert balances(users) == [7] * size

    def test_its_rows_are_written_by_one_transaction(self) -> None:
        users = UserFactory.create_batch(CROWD)
        assert in_one_group([charges(user) for user in users]) == [DONE] * CROWD
        assert len(sql.fetch_all("SELECT DISTINCT xmin::text FROM user_balance_tx")) == 1
        assert broken_rules() == set()

    def test_writes_of_different_kinds_share_it_too(self) -> None:
        user, pen, coupon = UserFactory(balance=10_000), ProductFactory(price=1_000, stock=1), CouponFactory()
        bodies = [("/api/orders", {"items": [{"productId": pen.pk, "quantity": 1}]}),
                  ("/api/balance/charge", {"amount": 5}),
                  (f"/api/coupons/{coupon.pk}/issue", {})]  # fmt: skip
        requests = [partial(Shopper(user).post, path, body) for path, body in bodies]
        with groups_seen() as seen:
            answers = in_one_group(requests)
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert [len(members) for members, _ in seen] == [1, 3]
        user.refresh_from_db()
        assert user.balance == 9_005
        assert broken_rules() == set()

    def test_a_write_beyond_the_group_size_is_in_the_next_group(self) -> None:
        users = UserFactory.create_batch(MOST_WRITES + 1)
        with groups_seen() as seen:
            assert in_one_group([charges(user) for user in users]) == [DONE] * len(users)
        assert [len(members) for members, _ in seen] == [1, MOST_WRITES, 1]

    def test_many_writes_of_one_row_build_on_each_other(self) -> None:
        user = UserFactory()
        assert in_one_group([charges(user, amount) for amount in range(1, CROWD + 1)]) == [DONE] * CROWD
        entries = LedgerEntry.objects.filter(user=user).order_by("pk").values_list("amount", "balance_after")
        assert list(entries) == [(each, each * (each + 1) // 2) for each in range(1, CROWD + 1)]
        assert broken_rules() == set()

    def test_a_refused_write_does_not_affect_the_others(self, settings: Settings) -> None:
        settings.BALANCE_LIMIT_WON = 100
        users = UserFactory.create_batch(CROWD)
        wishes = [charges(user, 101 if number == 3 else 7) for number, user in enumerate(users)]
        with arrived(wishes) as (gate, futures), round_trips() as trips:
            gate.open()
            outcomes = [future.result(timeout=PATIENCE_SECONDS) for future in futures]
        assert [number for number, outcome in enumerate(outcomes) if outcome != DONE] == [3]
        assert outcomes[3] == "balance_limit_exceeded"
        assert balances(users) == [0 if number == 3 else 7 for number in range(CROWD)]
        assert len(trips.postgresql) == 2
        assert broken_rules() == set()

    def test_changes_of_a_refused_write_are_undone_for_the_next(self) -> None:
        """An order takes its units first and its money last. Both are restored before the next write is decided."""
        poor, rich = UserFactory(balance=1), UserFactory(balance=5_000)
        pen = ProductFactory(price=1_000, stock=1)
        body = {"items": [{"productId": pen.pk, "quantity": 1}]}
        answers = in_one_group([partial(Shopper(who).post, "/api/orders", body) for who in (poor, rich)])
        assert [answer.outcome for answer in answers] == [(400, "insufficient_balance"), (200, None)]
        assert broken_rules() == set()


# --- One member of thirty fails -----------------------------------------------------------------------------------


class Sleep(Table):
    """A statement that exceeds the statement timeout."""

    lock_order = 95

    def read(self) -> Statement:
        return Statement("SELECT pg_sleep(60)")


class ShortPatience(Table):
    """Shortens the statement timeout for the rest of the transaction."""

    lock_order = 94

    def read(self) -> Statement:
        return Statement("SELECT set_config('statement_timeout', '50', true)")


def breaks_a_constraint(user: User) -> Write[None]:
    def decide(transaction: Transaction) -> None:
        entry_id = transaction[Ledger].next_id()
        transaction[Ledger].add(Entry(entry_id, user.pk, "CHARGE", -1, 0, None, transaction.now, bytes(32)))

    return Parts(decide, lambda transaction: transaction[Ledger].reserve(1))


def fails_in_decide(user: User) -> Write[None]:
    def decide(transaction: Transaction) -> None:
        raise ZeroDivisionError

    return Parts(decide)


def fails_in_load(user: User) -> Write[None]:
    def load(transaction: Transaction) -> None:
        raise ZeroDivisionError

    return Parts(load=load)


def adds_what_is_no_json(user: User) -> Write[None]:
    return Parts(lambda transaction: transaction[Ledger].add({"id": object()}))


def takes_too_long(user: User) -> Write[None]:
    def load(transaction: Transaction) -> None:
        transaction[ShortPatience]
        transaction[Sleep]

    return Parts(load=load)


def poisoned(write: Write[Any]) -> Attempt:
    """Commit a write that must fail; returns the constraint, PostgreSQL's code or the class of the error."""

    def run() -> str:
        try:
            return attempt(lambda: commit(write))()
        except (ZeroDivisionError, TypeError) as error:
            return type(error).__name__

    return run


class TestPoison:
    @pytest.mark.parametrize(
        ("poison", "error"),
        [
            (breaks_a_constraint, "user_balance_tx_sign_fits_type"),
            (fails_in_decide, "ZeroDivisionError"),
            (fails_in_load, "ZeroDivisionError"),
            (adds_what_is_no_json, "TypeError"),
            (takes_too_long, "57014"),
        ],
    )
    def test_fails_by_itself(self, poison: Callable[[User], Write[None]], error: str) -> None:
        users = UserFactory.create_batch(CROWD)
        wishes = [charges(user) for user in users]
        wishes.insert(11, poisoned(poison(users[0])))
        outcomes = in_one_group(wishes)
        assert outcomes.pop(11) == error
        assert outcomes == [DONE] * CROWD
        assert balances(users) == [7] * CROWD
        assert LedgerEntry.objects.count() == CROWD
        assert broken_rules() == set()
        self._no_transaction_is_left_open()

    def test_whose_row_is_deleted_under_it_fails_by_itself(self) -> None:
        """An issue does not lock the customer. PostgreSQL checks the foreign key at COMMIT."""
        users, gone, coupon = UserFactory.create_batch(CROWD), UserFactory(), CouponFactory()

        def delete() -> None:
            with another_session() as session:
                session.execute('DELETE FROM "user" WHERE id = %s', [gone.pk])
                session.commit()

        wishes = [charges(user) for user in users]
        wishes.insert(11, attempt(lambda: commit(IssueCoupon(gone.pk, coupon.pk))))
        with arrived(wishes) as (gate, futures), before_writing(delete):
            gate.open()
            outcomes = [future.result(timeout=PATIENCE_SECONDS) for future in futures]
        assert outcomes.pop(11) == "user_not_found"
        assert outcomes == [DONE] * CROWD
        assert balances(users) == [7] * CROWD
        assert UserCoupon.objects.count() == 0
        assert broken_rules() == set()

    def test_control_without_running_alone_it_fails_them_all(self) -> None:

        def fail_all(group: Group, error: psycopg.Error) -> None:
            for member in group._members:
                member.fail(error)

        users = UserFactory.create_batch(CROWD)
        wishes = [*(charges(user) for user in users), poisoned(breaks_a_constraint(users[0]))]
        with mock.patch.object(Group, "_run_again", fail_all):
            assert in_one_group(wishes) == ["user_balance_tx_sign_fits_type"] * (CROWD + 1)
        assert balances(users) == [0] * CROWD

    @staticmethod
    def _no_transaction_is_left_open() -> None:
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state ~ '^idle in tr'"
        wait_until(lambda: sql.fetch_all(left) == [(0,)], "all transactions to end")


# --- A connection is lost ------------------------------------------------------------------------------------------


def end_connections_of_writes() -> None:
    """Terminate all connections of group commits."""
    with another_session() as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'commerce-writes'"
        )


@contextmanager
def commit_without_an_answer(*, arrives: bool) -> Iterator[None]:
    """The next COMMIT reaches PostgreSQL or not, and its answer is lost with the connection."""
    run = Pipeline.run
    first = threading.Lock()

    def lose(self: Pipeline, statements: Any, *, deadline: float) -> list[Rows]:
        sent = list(statements)
        if COMMIT not in sent or not first.acquire(blocking=False):
            return run(self, sent, deadline=deadline)
        if arrives:
            run(self, sent, deadline=deadline)
        self.answered = 0
        self.close()
        raise NoAnswer("The connection is gone.")

    with mock.patch.object(Pipeline, "run", lose):
        yield


class TestLostConnection:
    def test_while_idle_has_no_effect(self) -> None:
        users = UserFactory.create_batch(3)
        with arrived([charges(user) for user in users]) as (gate, futures), round_trips() as trips:
            gate.open()
            assert [future.result(timeout=PATIENCE_SECONDS) for future in futures] == [DONE] * 3
        end_connections_of_writes()
        with round_trips() as trips:
            assert charges(users[0])() == DONE
        assert len(trips.postgresql) == 2
        assert balances(users) == [14, 7, 7]

    @pytest.mark.parametrize("moment", ["before the reads", "between the reads and the write"])
    def test_before_commit_was_sent_is_retried(self, moment: str) -> None:
        users = UserFactory.create_batch(CROWD)
        with arrived([charges(user) for user in users]) as (gate, futures), ExitStack() as stack:
            if moment == "before the reads":
                read = Group._read
                lost = threading.Lock()

                def read_late(self: Group, *arguments: Any, **keywords: Any) -> None:
                    if lost.acquire(blocking=False):
                        end_connections_of_writes()
                    read(self, *arguments, **keywords)

                stack.enter_context(mock.patch.object(Group, "_read", read_late))
            else:
                stack.enter_context(before_writing(end_connections_of_writes))
            gate.open()
            assert [future.result(timeout=PATIENCE_SECONDS) for future in futures] == [DONE] * CROWD
        assert balances(users) == [7] * CROWD
        assert LedgerEntry.objects.count() == CROWD
        assert broken_rules() == set()

    def test_at_every_attempt_is_an_operational_error(self) -> None:
        user = UserFactory()
        with nothing_changes(), mock.patch.object(Pipeline, "__init__", side_effect=psycopg.OperationalError("away")):
            group_commit.close_idle_connections()
            with pytest.raises(OperationalError, match="away"):
                charge_balance(user_id=user.pk, amount=7, idempotency=Idempotency.none())
        assert charges(user)() == DONE

    @pytest.mark.parametrize("arrives", [True, False], ids=["committed", "not committed"])
    def test_after_commit_a_retry_gets_the_stored_response(self, arrives: bool) -> None:
        users = UserFactory.create_batch(CROWD)

        def charge(user: User) -> Response:
            return Shopper(user).post("/api/balance/charge", {"amount": 7}, key="one")

        requests = [partial(charge, user) for user in users]
        with arrived(requests) as (gate, futures), commit_without_an_answer(arrives=arrives):
            gate.open()
            answers = [future.result(timeout=PATIENCE_SECONDS) for future in futures]
        assert {answer.outcome for answer in answers} == {(503, "service_unavailable")}
        assert balances(users) == [7 if arrives else 0] * CROWD
        retried = [charge(user) for user in users]
        assert {(answer.status, answer.replayed) for answer in retried} == {(200, arrives)}
        assert balances(users) == [7] * CROWD
        assert broken_rules() == set()

    def test_after_commit_no_uncertain_response_is_replayed(self) -> None:
        """The second of two equal requests has found the answer of the first only in memory."""
        user = UserFactory()

        def charge() -> Response:
            return Shopper(user).post("/api/balance/charge", {"amount": 7}, key="one")

        with arrived([charge, charge]) as (gate, futures), commit_without_an_answer(arrives=False):
            gate.open()
            answers = [future.result(timeout=PATIENCE_SECONDS) for future in futures]
        assert [answer.outcome for answer in answers] == [(503, "service_unavailable")] * 2
        assert balances([user]) == [0]
        assert charge().replayed is False

    def test_after_commit_no_uncertain_refusal_is_given(self) -> None:
        pen = ProductFactory(price=1_000, stock=1)
        body = {"items": [{"productId": pen.pk, "quantity": 1}]}
        buyers = UserFactory.create_batch(2, balance=5_000)
        requests = [partial(Shopper(user).post, "/api/orders", body) for user in buyers]
        with arrived(requests) as (gate, futures), commit_without_an_answer(arrives=False):
            gate.open()
            answers = [future.result(timeout=PATIENCE_SECONDS) for future in futures]
        assert [answer.outcome for answer in answers] == [(503, "service_unavailable")] * 2


# --- Waiting -------------------------------------------------------------------------------------------------------


class TestWaiting:
    def test_for_a_locked_key_does_not_block_others(self) -> None:
        waits, goes_on = UserFactory.create_batch(2)
        with ExitStack() as held:
            held.enter_context(lock_held(user_lock(waits.pk)))
            with arrived([charges(waits), charges(goes_on)]) as (gate, [late, soon]):
                gate.open()
                assert soon.result(timeout=PATIENCE_SECONDS) == DONE
                assert not late.done()
                assert balances([waits]) == [0]
                held.close()
                assert late.result(timeout=PATIENCE_SECONDS) == DONE
        assert balances([waits, goes_on]) == [7, 7]

    def test_of_a_whole_group_does_not_block_others(self) -> None:
        """Another process holds a key for seconds, like a paused one, and many writes request it."""
        coupon, user = CouponFactory(total_quantity=MOST_WRITES), UserFactory()
        crowd = UserFactory.create_batch(MOST_WRITES)
        issues = [attempt(partial(commit, IssueCoupon(who.pk, coupon.pk))) for who in crowd]
        with ExitStack() as held:
            held.enter_context(lock_held(coupon_lock(coupon.pk)))
            with arrived([*issues, charges(user)]) as (gate, [*late, soon]):
                gate.open()
                assert soon.result(timeout=PATIENCE_SECONDS) == DONE
                assert not any(each.done() for each in late)
                held.close()
                assert [each.result(timeout=PATIENCE_SECONDS) for each in late] == [DONE] * MOST_WRITES

    def test_for_a_locked_row_does_not_block_others(self) -> None:
        waits, goes_on = UserFactory.create_batch(2)
        with ExitStack() as held:
            held.enter_context(row_held("user", waits.pk))
            with arrived([charges(waits), charges(goes_on)]) as (gate, [late, soon]):
                gate.open()
                assert soon.result(timeout=PATIENCE_SECONDS) == DONE
                assert not late.done()
                held.close()
                assert late.result(timeout=PATIENCE_SECONDS) == DONE
        assert balances([waits, goes_on]) == [7, 7]

    def test_of_the_leader_ends_with_a_timeout_that_names_the_key(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        user = UserFactory()
        with nothing_changes(), lock_held(user_lock(user.pk)), pytest.raises(KeyTimeout) as timeout:
            charge_balance(user_id=user.pk, amount=7, idempotency=Idempotency.none())
        assert timeout.value.key == user_lock(user.pk)
        assert waiting() == 0

    def test_for_a_row_ends_with_a_timeout_too(self, settings: Settings) -> None:
        settings.LOCK_WAIT_SECONDS = 0.05
        user = UserFactory()
        with row_held("user", user.pk), nothing_changes(), pytest.raises(KeyTimeout):
            charge_balance(user_id=user.pk, amount=7, idempotency=Idempotency.none())

    def test_in_the_queue_ends_with_a_timeout_without_the_write(self, settings: Settings) -> None:
        user = UserFactory()
        with switched_off(ONE_LEADER), nothing_changes(), busy_queue():
            settings.LOCK_WAIT_SECONDS = 0.05
            assert charges(user)() == "lock_timeout"
            assert waiting() == 0

    def test_in_the_queue_ends_on_time_after_being_requeued(self) -> None:
        """All leaders may run slow groups until after its deadline."""
        queue, member = Queue(), Member(Parts())
        queue._leaders = group_commit._MOST_LEADERS
        member.deadline = time.monotonic() + 0.05
        with meanwhile(lambda: queue.run(member)) as waits:
            wait_until(lambda: len(queue._waiting) == 1, "the write to wait")
            queue._waiting.clear()
            wait_until(lambda: time.monotonic() > member.deadline, "its time to be over")
            queue._waiting.append(member)
            with pytest.raises(KeyTimeout):
                waits.result(timeout=PATIENCE_SECONDS)


# --- Leading -------------------------------------------------------------------------------------------------------


class TestTheLead:
    def test_passes_on_when_the_leaders_own_write_is_done(self) -> None:
        users = UserFactory.create_batch(MOST_WRITES + 1)
        with groups_seen() as seen:
            assert in_one_group([charges(user) for user in users]) == [DONE] * len(users)
        leaders = [leader for _, leader in seen]
        assert len(set(leaders)) == len(leaders) == 3
        assert group_commit._queue._leaders == 0

    def test_passes_on_when_the_leaders_write_times_out(self, settings: Settings) -> None:
        first, second = UserFactory.create_batch(2)
        with ExitStack() as held:
            for user in (first, second):
                held.enter_context(lock_held(user_lock(user.pk)))
            settings.LOCK_WAIT_SECONDS = 0.3
            with groups_seen(), meanwhile(charges(first)) as gives_up:
                wait_until(lambda: group_commit._queue._leaders == 1, "a leader")
                settings.LOCK_WAIT_SECONDS = PATIENCE_SECONDS
                with meanwhile(charges(second)) as goes_on:
                    assert gives_up.result(timeout=PATIENCE_SECONDS) == "lock_timeout"
                    assert not goes_on.done()
                    held.close()
                    assert goes_on.result(timeout=PATIENCE_SECONDS) == DONE
        assert balances([first, second]) == [0, 7]
        assert group_commit._queue._leaders == 0

    def test_passes_on_after_a_group_that_took_all_the_time(self) -> None:
        """Another group would delay the leader's own response for too long."""
        queue, leader, other = Queue(), Member(Parts()), Member(Parts())

        def slow(members: Sequence[Member]) -> None:
            assert members == [leader], "It led another group."
            leader.deadline = 0.0
            queue._waiting.extend([leader, other])

        with mock.patch.object(queue, "_run", slow), pytest.raises(KeyTimeout):
            queue.run(leader)
        assert other.leads
        assert list(queue._waiting) == [other]

    def test_passes_on_at_a_timeout_while_another_runs_the_write(self) -> None:
        queue, leader = Queue(), Member(Parts())

        def end(_seconds: float) -> None:
            leader.done = True

        def slow(members: Sequence[Member]) -> None:
            assert not queue._waiting
            leader.deadline = 0.0

        with mock.patch.object(queue, "_run", slow), mock.patch.object(group_commit, "sleep", end):
            queue.run(leader)
        assert queue._leaders == 0

    def test_of_a_slow_group_goes_to_an_arriving_write(self) -> None:
        user = UserFactory()
        with busy_queue(), mock.patch.object(group_commit, "_SLOW_SECONDS", 0.001):
            assert charges(user)() == DONE
        assert balances([user]) == [7]

    def test_of_a_slow_group_goes_to_a_waiting_write(self) -> None:
        """It arrived while the group was not slow yet, and no write arrives after it."""
        user = UserFactory()
        with mock.patch.object(group_commit, "_SLOW_SECONDS", 0.5), busy_queue():
            assert charges(user)() == DONE
        assert balances([user]) == [7]

    def test_control_with_one_leader_a_slow_group_blocks_writes(self, settings: Settings) -> None:
        user = UserFactory()
        with switched_off(ONE_LEADER), busy_queue(), mock.patch.object(group_commit, "_SLOW_SECONDS", 0.001):
            settings.LOCK_WAIT_SECONDS = 0.3
            assert charges(user)() == "lock_timeout"

    def test_without_anything_to_run_does_not_spin(self) -> None:
        """Another leader runs this leader's own write."""
        queue, member = Queue(), Member(Parts())
        member.leads = True
        queue._leaders = 1

        def sleep(_seconds: float) -> None:
            member.done = True

        looks = mock.patch.object(Queue, "_next_members", side_effect=[[], AssertionError("It looks again at once.")])
        with looks, mock.patch.object(group_commit, "sleep", sleep):
            queue._lead(member)
        assert queue._leaders == 0


def _noting(decided: list[int], number: int) -> Callable[[Transaction], None]:
    return lambda _: decided.append(number)


class TestFairness:
    def test_writes_are_decided_in_the_order_of_arrival(self) -> None:
        decided: list[int] = []
        writes = [Parts(_noting(decided, number)) for number in range(2 * MOST_WRITES + 2)]
        in_one_group([partial(commit, write) for write in writes])
        assert decided == list(range(2 * MOST_WRITES + 2))

    @pytest.mark.parametrize("obstacle", ["key", "row"])
    def test_a_delayed_write_is_in_the_next_possible_group(self, obstacle: str) -> None:
        """Overtaken by writes that did not have to wait, but by no group that starts after its obstacle is gone."""
        waits, *others = UserFactory.create_batch(4)
        with ExitStack() as held, groups_seen() as seen:
            if obstacle == "key":
                held.enter_context(lock_held(user_lock(waits.pk)))
            else:
                held.enter_context(row_held("user", waits.pk))
            with meanwhile(charges(waits)) as late:
                for user in others:
                    assert charges(user)() == DONE
                assert not late.done()
                held.close()
                begun = len(seen)
                assert late.result(timeout=PATIENCE_SECONDS) == DONE
        assert len(seen) - begun <= 2
        assert balances([waits, *others]) == [7] * 4

    def test_writes_waiting_for_a_locked_key_keep_their_order(self) -> None:
        """Also if one arrives after many others have tried to get the key."""
        key, decided = coupon_lock(1), list[int]()
        writes = [partial(commit, Parts(_noting(decided, number), keys=(key,))) for number in range(MOST_WRITES + 1)]
        with ExitStack() as held:
            held.enter_context(lock_held(key))
            with arrived(writes[:-1]) as (gate, early):
                gate.open()
                wait_until(lambda: key in group_commit._queue._held_elsewhere, "all to have asked for the key")
                with meanwhile(writes[-1]) as last:
                    wait_until(lambda: waiting() == MOST_WRITES + 1, "the last one to wait")
                    held.close()
                    for each in (*early, last):
                        each.result(timeout=PATIENCE_SECONDS)
        assert decided == list(range(MOST_WRITES + 1))


# --- One answer per key --------------------------------------------------------------------------------------------


def idempotency_of(user: User) -> Idempotency:
    claim = Claim(user.pk, "one", b"the same request")
    return Idempotency(claim, lambda entry: Answer(200, "text/plain", str(entry.id).encode()))


def charges_once(user: User) -> Callable[[], tuple[str, bytes]]:
    def run() -> tuple[str, bytes]:
        idempotency = idempotency_of(user)
        try:
            charge_balance(user_id=user.pk, amount=7, idempotency=idempotency)
        except AlreadyAnswered as repeat:
            return "replayed", repeat.answer.body
        assert idempotency.answer is not None
        return DONE, idempotency.answer.body

    return run


class TestTwins:
    def test_in_one_group_have_one_effect_and_replays(self) -> None:
        user = UserFactory()
        first, *others = in_one_group([charges_once(user)] * CROWD)
        assert first[0] == DONE
        assert others == [("replayed", first[1])] * (CROWD - 1)
        assert balances([user]) == [7]
        assert IdempotencyKey.objects.count() == 1

    def test_in_separate_queues_have_one_effect_and_replays(self) -> None:
        user = UserFactory()
        with switched_off(QUEUE_OFF):
            outcomes = together([charges_once(user)] * 8)
        assert sorted(how for how, _ in outcomes) == [DONE, *["replayed"] * 7]
        assert len({body for _, body in outcomes}) == 1
        assert balances([user]) == [7]

    def test_without_a_key_each_has_its_effect(self) -> None:
        user = UserFactory()
        assert in_one_group([charges(user)] * CROWD) == [DONE] * CROWD
        assert balances([user]) == [7 * CROWD]


def test_a_callback_after_commit_returns_its_connection(run: Callable[..., list[Any]]) -> None:
    class AsksAfterwards:
        def locks(self) -> list[str]:
            return []

        def load(self, transaction: Transaction) -> None:
            pass

        def decide(self, transaction: Transaction) -> None:
            transaction.afterwards(lambda: asked.append(User.objects.exists()))

    def request() -> None:
        with shared_by_requests(only, give_back_connections):
            commit(AsksAfterwards())

    asked: list[bool] = []
    only = SharedConnections(1, waiting=0, wait_seconds=0.0)
    for _ in range(3):
        run(request)
    assert asked == [False] * 3
    only.close()


def test_each_answer_is_in_the_language_of_its_caller() -> None:
    users = UserFactory.create_batch(4)
    languages = ["ko", "en", "ko", "en"]

    def order(user: User, language: str) -> Response:
        body = {"items": [{"productId": 999_999_999, "quantity": 1}]}
        return Shopper(user, language=language).post("/api/orders", body, key="one")

    requests = [partial(order, who, language) for who, language in zip(users, languages, strict=True)]
    with groups_seen() as seen:
        answers = in_one_group(requests)
    assert [len(members) for members, _ in seen][1] == 4
    assert [answer.headers["Content-Language"] for answer in answers] == languages
    titles = [answer.json["title"] for answer in answers]
    assert titles[0] == titles[2] != titles[1] == titles[3]
    assert titles[1].isascii()
    assert not titles[0].isascii()
