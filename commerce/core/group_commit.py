"""Group commit: writes that wait at the same time share one transaction of two round trips.

Contains the queue of a process, the election of its leader and its connections. The transaction itself is in `group`.

A thread that finds no leader becomes the leader: it takes the waiting writes, 64 at most, and runs them as one group.
Then it passes the lead to another thread and wakes the members. A single write is a group of one, so there is only one
write path.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import OperationalError

from commerce.core import metrics
from commerce.core.group import Group, Member, Write
from commerce.core.locks import KeyTimeout, redis_locks
from commerce.core.pipeline import Pipeline
from commerce.core.postgresql.base import borrowed_connections
from commerce.core.transaction import call_and_log
from commerce.core.waiting import gather, in_thread, sleep

T = TypeVar("T")

MOST_WRITES = 64
"""Largest number of writes in one transaction."""
_MOST_LEADERS = 4
_SLOW_SECONDS = 0.1
"""If a group takes longer, another leader runs the writes that wait behind it."""
_RETRY_SECONDS = 0.002
"""Delay before a retry for locks or rows held by another process, which holds them for a few milliseconds."""


def commit(write: Write[T]) -> T:
    """Run `write` in one transaction with other waiting writes, and return its result once it is durable.

    Raises the errors of `decide`, and LockTimeout if its locks or rows were not available within `LOCK_WAIT_SECONDS`;
    nothing was changed then. Raises django.db.Error if the database fails. After an OperationalError the outcome is
    unknown: the connection may have been lost after COMMIT was sent.
    """
    member = Member(write)
    _queue.run(member)
    for then in member.afterwards:
        in_thread(partial(call_and_log, partial(_with_borrowed_connections, then)))
    result: T = member.result
    return result


def _with_borrowed_connections(then: Callable[[], object]) -> None:
    # The thread serves other requests later. A connection that stayed with it would be missing from the shared ones.
    with borrowed_connections():
        then()


def close_idle_connections() -> None:
    """Close the idle connections."""
    _queue.close_idle_connections()


class Queue:
    """The waiting writes of one process, in order of arrival."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[Member] = deque()
        self._leaders = 0
        self._last_group_began = 0.0
        self._last_group_was_shared = False
        self._held_elsewhere: dict[str, float] = {}
        """Locks that another process holds, and the time of the next attempt for each."""
        self._idle: list[Pipeline] = []

    def run(self, member: Member) -> None:
        """Wait until the member is done. Raises its error."""
        if self._join(member) or self._wait(member):
            self._lead(member)
        member.raise_error()

    def close_idle_connections(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for pipeline in idle:
            pipeline.close()

    def _join(self, member: Member) -> bool:
        """Join the queue; returns whether the member leads."""
        with self._guard:
            member.watches = not self._waiting
            self._waiting.append(member)
            return self._takes_the_lead(member)

    def _takes_the_lead(self, member: Member) -> bool:
        member.leads = self._leaders == 0 or (
            self._leaders < _MOST_LEADERS and time.monotonic() > self._last_group_began + _SLOW_SECONDS
        )
        self._leaders += member.leads
        return member.leads

    def _wait(self, member: Member) -> bool:
        """Wait until the member is done or has to lead; returns whether it leads."""
        while True:
            left = max(0.0, member.deadline - time.monotonic())
            if member.woken.wait(min(left, _SLOW_SECONDS) if member.watches else left):
                return member.leads
            with self._guard:
                if member.leads:
                    # Another thread is about to set `woken`.
                    continue
                if member in self._waiting:
                    if self._fail_if_late(member):
                        return False
                    if self._takes_the_lead(member):
                        return True
                    continue
            # Its group is running, and may put it back into the queue.
            if member.woken.wait(_SLOW_SECONDS):
                return member.leads

    def _fail_if_late(self, member: Member) -> bool:
        """Fail a waiting member whose deadline is over; returns whether it is over. The caller holds the guard."""
        if time.monotonic() < member.deadline:
            return False
        self._waiting.remove(member)
        member.fail(KeyTimeout(member.blocked_by))
        return True

    def _lead(self, leader: Member) -> None:
        """Run groups until the leader's own write is done, then pass the lead on."""
        try:
            # A group that starts after the deadline would delay the leader's own response for too long.
            while not leader.done and time.monotonic() < leader.deadline:
                self._gather()
                members = self._next_members()
                if members:
                    self._run(members)
                else:
                    # Other processes hold the locks of all waiting writes, or another leader runs the writes.
                    _pause()
        finally:
            self._pass_on()
        while not leader.done:
            with self._guard:
                if leader in self._waiting and self._fail_if_late(leader):
                    return
            _pause()

    def _pass_on(self) -> None:
        with self._guard:
            successor = next((member for member in self._waiting if not member.leads), None)
            if successor is None:
                self._leaders -= 1
                return
            successor.leads = True
        successor.woken.set()

    def _gather(self) -> None:
        """Let requests join that have arrived or are about to: clients that just got a response often send the next."""
        gather(self._waiting, most=MOST_WRITES, patiently=self._last_group_was_shared)

    def _next_members(self) -> list[Member]:
        """The members that have waited longest. A member that has to run alone is returned alone.

        Writes that need a lock held by another process stay in the queue, later arrivals included, so that their order
        is kept. Writes behind them that need other locks are taken.
        """
        now = time.monotonic()
        members: list[Member] = []
        late: list[Member] = []
        passed_over: list[Member] = []
        with self._guard:
            self._last_group_began = now
            self._held_elsewhere = held = {key: until for key, until in self._held_elsewhere.items() if until > now}
            while self._waiting and len(members) < MOST_WRITES:
                if self._waiting[0].runs_alone and members:
                    break
                member = self._waiting.popleft()
                if member.deadline <= now:
                    late.append(member)
                elif held and (key := next((key for key in member.keys if key in held), None)):
                    member.blocked_by = key
                    passed_over.append(member)
                else:
                    members.append(member)
                    if member.runs_alone:
                        break
            self._waiting.extendleft(reversed(passed_over))
        for member in late:
            member.fail(KeyTimeout(member.blocked_by))
        _wake(late)
        self._last_group_was_shared = len(members) > 1
        return members

    def _run(self, members: Sequence[Member]) -> None:
        """Run one group. Members that are not done afterwards go back to the front of the queue."""
        waited_seconds = time.monotonic() - members[0].deadline + settings.LOCK_WAIT_SECONDS
        metrics.noted.extend(
            ((metrics.GROUP_WRITES.observe, len(members)), (metrics.GROUP_WAIT_SECONDS.observe, waited_seconds))
        )
        try:
            with redis_locks.held([member.keys for member in members]) as held:
                admitted = [member for member, by in zip(members, held.blocked_by, strict=True) if by is None]
                for member, blocked_by in zip(members, held.blocked_by, strict=True):
                    member.blocked_by = blocked_by or ""
                group = Group(admitted)
                if admitted:
                    group.run(self._connection, self._give_back, advisory=held.is_fallback)
        except BaseException as error:
            # Each member's own thread raises the error. The outcome of their writes is unknown, so none is retried.
            for member in (each for each in members if not each.done):
                member.fail(error if isinstance(error, Exception) else OperationalError("The leader was interrupted."))
            if not isinstance(error, Exception):
                _wake(members)
                raise
            group = Group([])
        again = [member for member in members if not member.done]
        ask_again_at = time.monotonic() + _RETRY_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  # jitter, no secret
        with self._guard:
            self._waiting.extendleft(reversed(again))
            self._held_elsewhere.update((key, ask_again_at) for member in again for key in member.held_elsewhere())
        done = [member for member in members if member.done]
        _wake(done)
        group.after_release()

    def _connection(self) -> Pipeline:
        """A connection for a group. Raises psycopg.OperationalError."""
        while True:
            with self._guard:
                pipeline = self._idle.pop() if self._idle else None
            if pipeline is None:
                return Pipeline()
            if pipeline.is_usable:
                return pipeline
            pipeline.close()

    def _give_back(self, pipeline: Pipeline) -> None:
        if pipeline.is_usable:
            with self._guard:
                self._idle.append(pipeline)


def _pause() -> None:
    sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, no secret


def _wake(members: Sequence[Member]) -> None:
    for member in members:
        # A member that leads is awake, or was woken by `_pass_on`.
        if not member.leads:
            member.woken.set()


_queue = Queue()
