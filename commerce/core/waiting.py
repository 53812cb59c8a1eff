"""Waiting that lets other requests of the process run.

A web process handles all API requests in one thread. Each request runs in a task: a greenlet, whose code looks as if it
blocked. While a task waits for a socket, another task or a timeout, the event loop of the thread runs other tasks. In
all other threads (commands, the back-office, the dispatcher) the same functions block, so callers need not distinguish.

A task must not hold a `threading` lock while it waits: the next task that needs the lock would block the thread.
"""

import select
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sized
from contextvars import copy_context
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
_MOST_IDLE = 256
_QUIET_PASSES = 8
"""Passes of the event loop without a new arrival after which no more are expected. A pass takes about 20 microseconds;
a saved statement is worth ten times as much, a saved transaction twenty times."""


class Tasks:
    """The tasks of one event loop. Its methods are called in the loop's thread, outside of tasks."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.hub = getcurrent()
        # Tasks are reused: a new greenlet costs ten times as much as an existing one.
        self._idle: list[Task] = []

    def run(self, job: Callable[[], None]) -> None:
        """Run `job` in a task. Returns when it is done or waits for the first time."""
        task = self._idle.pop() if self._idle else Task(self)
        task.switch(job)

    def is_done(self, task: "Task") -> None:
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(task)


class Task(greenlet):
    """Runs one job after another."""

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(self._run_jobs, tasks.hub)
        self.tasks = tasks
        self._waits_for: object = None

    def _run_jobs(self, job: Callable[[], None]) -> None:
        while True:
            job()
            self.tasks.is_done(self)
            job = self.tasks.hub.switch()

    def pause(self, wait: object) -> Any:
        """Let other tasks run until `resume` is called for the same `wait`; returns the value passed to it."""
        self._waits_for = wait
        try:
            return self.tasks.hub.switch()
        finally:
            self._waits_for = None

    def resume(self, wait: object, value: Any) -> None:
        """Called by the event loop. Does nothing if the task is not in this `wait` any more."""
        if self._waits_for is wait:
            self.switch(value)


def current_task() -> Task | None:
    """The running task; None in a thread that may block."""
    task = getcurrent()
    return task if isinstance(task, Task) else None


class Signal:
    """An event that any task or thread may set once. Only the task or thread that created it may wait for it."""

    __slots__ = ("_is_set", "_lock", "_task")

    def __init__(self) -> None:
        self._task = current_task()
        self._is_set = False
        if self._task is None:
            self._lock = threading.Lock()
            self._lock.acquire()

    def set(self) -> None:
        self._is_set = True
        task = self._task
        if task is None:
            self._lock.release()
        elif threading.get_ident() == task.tasks.thread:
            task.tasks.loop.call_soon(task.resume, self, True)
        else:
            task.tasks.loop.call_soon_threadsafe(task.resume, self, True)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it was set within `seconds`. None waits without a limit."""
        task = self._task
        if task is None:
            return self._lock.acquire(timeout=-1 if seconds is None else seconds)
        if self._is_set:
            return True
        timer = None if seconds is None else task.tasks.loop.call_later(seconds, task.resume, self, False)
        try:
            return bool(task.pause(self))
        finally:
            if timer is not None:
                timer.cancel()


def wait_for(descriptor: int, events: int, seconds: float) -> int:
    """Wait until a file descriptor is READABLE or WRITABLE (`events`); returns its state, or 0 after `seconds`."""
    task = current_task() if seconds > 0 else None
    if task is None:
        poll = select.poll()
        poll.register(descriptor, events)
        happened = poll.poll(max(0.0, seconds) * 1_000)
        return happened[0][1] if happened else 0
    loop, wait = task.tasks.loop, object()
    if events & READABLE:
        loop.add_reader(descriptor, loop.call_soon, task.resume, wait, READABLE)
    if events & WRITABLE:
        loop.add_writer(descriptor, loop.call_soon, task.resume, wait, WRITABLE)
    timer = loop.call_later(seconds, task.resume, wait, 0)
    try:
        return int(task.pause(wait))
    finally:
        timer.cancel()
        if events & READABLE:
            loop.remove_reader(descriptor)
        if events & WRITABLE:
            loop.remove_writer(descriptor)


def sleep(seconds: float) -> None:
    task = current_task()
    if task is None:
        time.sleep(seconds)
        return
    wait = object()
    task.tasks.loop.call_later(seconds, task.resume, wait, None)
    task.pause(wait)


def let_others_run() -> None:
    """Let the ready tasks run, and those of new requests start. Does nothing outside of a task."""
    task = current_task()
    if task is not None:
        wait = object()
        task.tasks.loop.call_soon(task.resume, wait, None)
        task.pause(wait)


def gather(arrived: Sized, *, most: int, patiently: bool) -> None:
    """Let other tasks run, which append to `arrived`, until it has `most` items or several passes have added none.

    Without `patiently` one pass is enough. Use it if no other request arrived the last time.
    """
    passes = 0
    while passes < (_QUIET_PASSES if patiently else 1) and len(arrived) < most:
        before = len(arrived)
        let_others_run()
        passes = passes + 1 if len(arrived) == before else 0


def in_thread(function: Callable[[], T]) -> T:
    """Run a function that computes or blocks for long in a thread of the loop's executor.

    Outside of a task it is called directly.
    """
    task = current_task()
    if task is None:
        return function()
    wait = object()
    future = task.tasks.loop.run_in_executor(None, copy_context().run, function)
    future.add_done_callback(lambda _: task.resume(wait, None))
    task.pause(wait)
    return future.result()
