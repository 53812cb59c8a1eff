"""The supervisor restarts crashed processes, gives up after repeated crashes, and stops everything in reverse order."""

import os
import signal
from pathlib import Path

import pytest

from commerce.embedded.children import Child
from commerce.embedded.errors import GaveUp
from commerce.embedded.supervisor import Service, StopRequested, Supervisor
from tests.embedded.processes import LIMIT_SECONDS, SLEEPER, is_alive, python_child, start_python, wait_for, written_pid


class Watched(Supervisor):
    """A supervisor that is asked to stop as soon as a condition is true."""

    def __init__(self, until: object = None) -> None:
        super().__init__()
        self.until = until

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        if callable(self.until) and self.until():
            raise StopRequested


def service(child: Child) -> Service:
    return Service(child=child, start=lambda _pause: child.start(), restart=child.start)


def test_a_killed_child_is_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = python_child(tmp_path, SLEEPER, name="web")
    restarted: list[int | None] = []
    supervisor = Watched(until=lambda: bool(restarted))
    watched = service(child)
    watched.restarted = lambda: restarted.append(child.pid)
    supervisor.run(watched)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    with pytest.raises(StopRequested):
        supervisor.watch()

    assert child.running
    assert restarted == [child.pid]
    assert child.pid != first
    assert capsys.readouterr().out == "web ended (killed by SIGKILL); starting it again in 0.2 s\n"
    child.stop()


def test_a_child_that_keeps_ending_makes_the_supervisor_give_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("commerce.embedded.supervisor.FIRST_BACKOFF_SECONDS", 0.001)
    child = python_child(tmp_path, "print('no licence'); raise SystemExit(2)", name="web")
    supervisor = Supervisor()
    supervisor.run(service(child))

    with pytest.raises(GaveUp) as caught:
        supervisor.watch()

    assert str(caught.value).startswith("web ended 5 times within 60 s; the stack is stopped. ")
    assert (tmp_path / "web.log").read_text() == "no licence\n" * 5
    assert capsys.readouterr().out.count("web ended (exit code 2); starting it again") == 4
    child.stop()


def test_crashes_long_ago_are_forgiven(tmp_path: Path) -> None:
    crashing = service(python_child(tmp_path, SLEEPER))

    waits = [crashing.note_crash(now) for now in (0.0, 1.0, 2.0, 3.0, 62.5)]

    assert waits == [0.2, 0.4, 0.8, 1.6, 0.4]


def test_services_stop_in_the_reverse_of_their_start(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    code = (
        "import pathlib, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "pathlib.Path(sys.argv[1] + sys.argv[2]).touch()\n"
        "signal.sigwait({signal.SIGTERM})\n"
        "pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + ' ')\n"
    )
    supervisor = Supervisor()
    for name in ("postgres", "redis", "web"):
        supervisor.run(service(python_child(tmp_path, code, str(journal), name, name=name)))
        wait_for(Path(f"{journal}{name}").exists)

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        supervisor.stop()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

    assert journal.read_text() == "web redis postgres "


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_the_watch_and_every_child(tmp_path: Path, number: signal.Signals) -> None:
    code = f"""
import pathlib
from commerce.embedded.supervisor import Service, StopRequested, Supervisor
from tests.embedded.processes import SLEEPER, python_child
child = python_child(pathlib.Path({str(tmp_path)!r}), SLEEPER)
supervisor = Supervisor()
supervisor.listen_for_signals()
supervisor.run(Service(child=child, start=lambda pause: child.start(), restart=child.start))
pathlib.Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
try:
    supervisor.watch()
except StopRequested:
    supervisor.stop()
    print("stopped")
"""
    with start_python(code) as stack:
        pid_file = tmp_path / "child"
        wait_for(lambda: pid_file.exists() and pid_file.read_text().isdigit())
        stack.send_signal(number)
        output, _ = stack.communicate(timeout=LIMIT_SECONDS)

    assert output == "stopped\n"
    assert stack.returncode == 0
    assert not is_alive(int(pid_file.read_text()))


def test_a_supervisor_that_ends_with_its_parent_stops_when_that_is_killed(tmp_path: Path) -> None:
    supervising = f"""
import pathlib
from commerce.embedded.supervisor import Service, StopRequested, Supervisor
from tests.embedded.processes import SLEEPER, python_child
child = python_child(pathlib.Path({str(tmp_path)!r}), SLEEPER)
supervisor = Supervisor(ends_with_parent=True)
supervisor.run(Service(child=child, start=lambda pause: child.start(), restart=child.start))
pathlib.Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
try:
    supervisor.watch()
except StopRequested:
    supervisor.stop()
    pathlib.Path({str(tmp_path / "stopped")!r}).touch()
"""
    starting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {supervising!r}])"
    with start_python(starting) as parent:
        child_pid = written_pid(tmp_path / "child")
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=LIMIT_SECONDS)

        wait_for((tmp_path / "stopped").exists)

    assert not is_alive(child_pid)
