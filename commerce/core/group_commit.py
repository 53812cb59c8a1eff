"""Group commit: writes that wait at the same time share one transaction of two round trips.

Owns the queue of a process, its leader and its connections; the transaction itself is in `group`.

The thread that finds no leader leads: it takes what waits, 64 writes at most, and runs it as one group. Then it passes
the lead on and wakes the others. A write that arrives alone is a group of one, so there is one way to write.
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
"""In one transaction."""
_MOST_LEADERS = 4
_SLOW_SECONDS = 0.1
"""A group that takes longer does not hold up the queue: another leader takes what waits behind it."""
_RETRY_SECONDS = 0.002
"""Until locks or rows are asked for again that another process holds. It holds them for a few milliseconds."""


def commit(write: Write[T]) -> T:
    """Run `write` together with others that wait, and return its result once that is durable.

    Raises what `decide` raises, and LockTimeout where its locks or rows could not be had within `LOCK_WAIT_SECONDS`;
    nothing was changed then. Raises django.db.Error where the database fails; where that is an OperationalError the
    connection may have been lost after COMMIT was sent, and the change may have been made.
    """
    member = Member(write)
    _queue.run(member)
    for then in member.afterwards:
        in_thread(partial(call_and_log, partial(_with_borrowed_connections, then)))
    result: T = member.result
    return result


def _with_borrowed_connections(then: Callable[[], object]) -> None:
    # The thread serves other requests later: a connection that it kept would be lost to all of them.
    with borrowed_connections():
        then()


def close_idle_connections() -> None:
    """Close the connections that no group is using."""
    _queue.close_idle_connections()


class Queue:
    """The writes of one process that wait for their group, in the order of arrival."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[Member] = deque()
        self._leaders = 0
        self._last_group_began = 0.0
        self._last_group_was_shared = False
        self._held_elsewhere: dict[str, float] = {}
        """Locks that another process was seen to hold, and when they are asked for again."""
        self._idle: list[Pipeline] = []

    def run(self, member: Member) -> None:
        """Return when the member is done. Raises its error."""
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
        """Return when the member is done or shall lead; returns whether it leads."""
        while True:
            left = max(0.0, member.deadline - time.monotonic())
            if member.woken.wait(min(left, _SLOW_SECONDS) if member.watches else left):
                return member.leads
            with self._guard:
                if member.leads:
                    # It is being woken at this moment.
                    continue
                if member in self._waiting:
                    if self._ends_late(member):
                        return False
                    if self._takes_the_lead(member):
                        return True
                    continue
            # Its group is running, and may put it back.
            if member.woken.wait(_SLOW_SECONDS):
                return member.leads

    def _ends_late(self, member: Member) -> bool:
        """Fail a member that waits and has no time left; returns whether it had none. The caller holds the guard."""
        if time.monotonic() < member.deadline:
            return False
        self._waiting.remove(member)
        member.fail(KeyTimeout(member.blocked_by))
        return True

    def _lead(self, leader: Member) -> None:
        """Run groups until the leader's own write is done, then pass the lead on."""
        try:
            # A group that begins later would hold the leader up for longer than a request may take.
            while not leader.done and time.monotonic() < leader.deadline:
                self._gather()
                members = self._next_members()
                if members:
                    self._run(members)
                else:
                    # Others hold what all of them need, or another leader runs them.
                    _pause()
        finally:
            self._pass_on()
        while not leader.done:
            with self._guard:
                if leader in self._waiting and self._ends_late(leader):
                    return
            _pause()

    def _pass_on(self) -> None:
        with self._guard:
            heir = next((member for member in self._waiting if not member.leads), None)
            if heir is None:
                self._leaders -= 1
                return
            heir.leads = True
        heir.woken.set()

    def _gather(self) -> None:
        """Let those join whose requests have arrived, or are about to: clients that the last group has answered."""
        gather(self._waiting, most=MOST_WRITES, patiently=self._last_group_was_shared)

    def _next_members(self) -> list[Member]:
        """Those who have waited longest. One that has to run alone is by itself.

        Writes that want a lock that is held elsewhere stay, also those that have arrived since, so that none of them
        overtakes another; writes behind them that want other locks go.
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
        """Run one group. Members that are not done then are put back to the front of the queue."""
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
            # Each member's own thread raises it. What happened to their writes is not known, so none runs again.
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
        """A connection to run a group on. Raises psycopg.OperationalError."""
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
        # One that leads is awake, or has been woken to lead.
        if not member.leads:
            member.woken.set()


_queue = Queue()
