"""Tasks: requests that wait in one thread, run by `commerce.core.waiting`."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from django.db import connection

from commerce.core import waiting
from commerce.core.group import Member
from commerce.core.locks import _Turns
from commerce.core.redis_services import RedisService, RedisUnavailable
from commerce.core.waiting import Signal
from tests.together import PATIENCE_SECONDS

Job = Callable[[], object]


def test_a_waiting_task_does_not_block_others(run: Callable[..., list[Any]]) -> None:
    order: list[str] = []

    def first() -> None:
        order.append("first begins")
        waiting.sleep(0.01)
        order.append("first ends")

    run(first, lambda: order.append("second"))
    assert order == ["first begins", "second", "first ends"]


def test_a_signal_of_another_task_ends_a_wait(run: Callable[..., list[Any]]) -> None:
    signals: list[Signal] = []

    def wait() -> bool:
        signals.append(Signal())
        return signals[0].wait(PATIENCE_SECONDS)

    def signal() -> None:
        signals[0].set()

    assert run(wait, signal) == [True, None]


def test_a_signal_of_another_thread_ends_a_wait(run: Callable[..., list[Any]]) -> None:
    def wait() -> bool:
        signal = Signal()
        threading.Timer(0.01, signal.set).start()
        return signal.wait(PATIENCE_SECONDS)

    assert run(wait, wait) == [True, True]


def test_a_signal_that_is_set_before_the_wait_is_not_lost(run: Callable[..., list[Any]]) -> None:
    def wait() -> bool:
        signal = Signal()
        signal.set()
        waiting.sleep(0.001)
        return signal.wait(0.001)

    assert run(wait) == [True]
    assert wait()


def test_a_wait_ends_with_its_time_and_a_late_signal_changes_nothing(run: Callable[..., list[Any]]) -> None:
    def wait() -> tuple[bool, int]:
        signal = Signal()
        in_vain = signal.wait(0.001)
        signal.set()
        # The callback of the signal is called while the task waits for something else.
        ours, theirs = socket.socketpair()
        with closing(ours), closing(theirs):
            return in_vain, waiting.wait_for(ours.fileno(), waiting.WRITABLE, PATIENCE_SECONDS)

    assert run(wait) == [(False, waiting.WRITABLE)]


def test_a_socket_is_waited_for_in_tasks_and_in_threads(run: Callable[..., list[Any]]) -> None:
    ours, theirs = socket.socketpair()

    def read() -> bytes:
        assert waiting.wait_for(ours.fileno(), waiting.READABLE, 0) == 0
        assert waiting.wait_for(ours.fileno(), waiting.READABLE, 0.001) == 0
        assert waiting.wait_for(ours.fileno(), waiting.READABLE, PATIENCE_SECONDS) == waiting.READABLE
        return ours.recv(10)

    def write() -> None:
        waiting.sleep(0.02)
        theirs.send(b"hello")

    with closing(ours), closing(theirs):
        assert run(read, write) == [b"hello", None]
        threading.Timer(0.02, write).start()
        assert read() == b"hello"


def test_the_same_socket_is_waited_for_again_and_again(run: Callable[..., list[Any]]) -> None:
    ours, theirs = socket.socketpair()

    def ask() -> int:
        received = 0
        for _ in range(200):
            ours.send(b"x")
            waiting.wait_for(ours.fileno(), waiting.READABLE, PATIENCE_SECONDS)
            received += len(ours.recv(10))
        return received

    def answer() -> None:
        for _ in range(200):
            waiting.wait_for(theirs.fileno(), waiting.READABLE, PATIENCE_SECONDS)
            theirs.send(theirs.recv(10))

    with closing(ours), closing(theirs):
        assert run(ask, answer) == [200, None]


def test_slow_work_runs_in_a_thread(run: Callable[..., list[Any]]) -> None:
    answered = threading.Event()

    def long() -> tuple[bool, bool]:
        here = threading.get_ident()
        return waiting.in_thread(lambda: (answered.wait(PATIENCE_SECONDS), threading.get_ident() != here))

    assert run(long, answered.set) == [(True, True), None]
    # Outside of a task it is a plain call.
    assert waiting.in_thread(threading.get_ident) == threading.get_ident()


def test_an_error_of_a_thread_is_raised_in_the_task(run: Callable[..., list[Any]]) -> None:
    def fail() -> None:
        raise LookupError("in the thread")

    with pytest.raises(LookupError, match="in the thread"):
        run(lambda: waiting.in_thread(fail))


def test_others_run_before_a_task_that_lets_them(run: Callable[..., list[Any]]) -> None:
    order: list[int] = []

    def first() -> None:
        waiting.let_others_run()
        order.append(1)

    run(first, lambda: order.append(2))
    assert order == [2, 1]


def test_turns_pass_from_task_to_task(run: Callable[..., list[Any]]) -> None:
    """With a `threading` lock, the second task would block the thread of both."""
    turns, order = _Turns(), list[int]()

    def visit(number: int) -> None:
        with turns.held("key", time.monotonic() + PATIENCE_SECONDS):
            order.append(number)
            waiting.sleep(0.002)
            order.append(number)

    run(*(lambda number=number: visit(number) for number in range(4)))
    assert order == [0, 0, 1, 1, 2, 2, 3, 3]
    assert turns._lines == {}


def test_an_unresponsive_redis_blocks_only_its_callers(run: Callable[..., list[Any]], settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings.CACHES = {"silent": {**settings.CACHES["default"], "LOCATION": address}}
        settings.CACHES["silent"]["OPTIONS"] = {**settings.CACHES["silent"]["OPTIONS"], "SOCKET_TIMEOUT": 0.2}
        settings.CACHES["default"] = settings.CACHES["silent"]
        order: list[str] = []

        def ask() -> None:
            with pytest.raises(RedisUnavailable):
                RedisService("silent").read("key")
            order.append("asked in vain")

        run(ask, lambda: order.append("answered"))
    assert order == ["answered", "asked in vain"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("connections_of_tasks")
class TestDatabase:
    @staticmethod
    def ask(sql: str, *parameters: Any) -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchone()[0]
        finally:
            connection.close()

    def test_queries_of_tasks_run_at_the_same_time_on_connections_of_their_own(
        self, run: Callable[..., list[Any]]
    ) -> None:
        order: list[int] = []

        def query(seconds: float, number: int) -> int:
            backend: int = self.ask("SELECT pg_backend_pid() FROM pg_sleep(%s)", seconds)
            order.append(number)
            return backend

        backends = run(lambda: query(0.3, 1), lambda: query(0.0, 2))
        assert order == [2, 1]
        assert len(set(backends)) == 2

    def test_an_error_of_the_database_is_raised_in_its_task(self, run: Callable[..., list[Any]]) -> None:
        from django.db import DataError

        with pytest.raises(DataError):
            run(lambda: self.ask("SELECT 1 / 0"))


def test_a_member_of_a_group_waits_as_its_request_does(run: Callable[..., list[Any]]) -> None:
    class Nothing:
        def locks(self) -> list[str]:
            return []

        def load(self, transaction: Any) -> None: ...

        def decide(self, transaction: Any) -> None: ...

    members: list[Member] = []

    def member() -> bool:
        members.append(Member(Nothing()))
        return members[0].woken.wait(PATIENCE_SECONDS)

    def leader() -> None:
        with ThreadPoolExecutor(1) as other:
            other.submit(members[0].woken.set).result()

    assert run(member, leader) == [True, None]


def test_tasks_are_used_again(run: Callable[..., list[Any]]) -> None:
    def job() -> int:
        waiting.let_others_run()
        return id(waiting.current_task())

    assert len(set(run(*[job] * 3))) == 3
    assert waiting.current_task() is None
