"""Processor time of process trees, from /proc.

A process that has ended is included in the time of the parent that has waited for it.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessTime:
    """One process: its parent, and the clock ticks used by it and by the children that it has waited for."""

    parent: int
    ticks: int


def parse_stat(text: str) -> ProcessTime:
    """Parse /proc/<pid>/stat. The command in brackets may contain spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    # Counted from the state, which is field 3 of proc(5): ppid is 4, utime 14, stime 15, cutime 16, cstime 17.
    return ProcessTime(parent=int(fields[1]), ticks=sum(int(field) for field in fields[11:15]))


def processes(proc: Path = PROC) -> dict[int, ProcessTime]:
    """All current processes by id."""
    found = {}
    for entry in proc.glob("[0-9]*"):
        try:
            found[int(entry.name)] = parse_stat((entry / "stat").read_text())
        except (OSError, ValueError, IndexError):
            continue  # the process has ended meanwhile
    return found


def tree_seconds(roots: Iterable[int], snapshot: Mapping[int, ProcessTime]) -> float:
    """Processor seconds of these processes and all their descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, process in snapshot.items():
        children[process.parent].append(pid)
    ticks, waiting, seen = 0, list(roots), set()
    while waiting:
        pid = waiting.pop()
        if pid in seen or pid not in snapshot:
            continue
        seen.add(pid)
        ticks += snapshot[pid].ticks
        waiting += children[pid]
    return ticks / _TICKS_PER_SECOND


@dataclass(frozen=True)
class CpuReading:
    """Processor seconds so far, by part."""

    seconds: Mapping[str, float]

    def since(self, earlier: "CpuReading") -> dict[str, float]:
        """The time that each part has used between two readings."""
        return {name: max(0.0, now - earlier.seconds.get(name, 0.0)) for name, now in self.seconds.items()}


def read_cpu(roots: Mapping[str, Iterable[int]]) -> CpuReading:
    """Read the processor time of several parts at the same time. Parts without local processes are omitted."""
    snapshot = processes()
    return CpuReading({name: tree_seconds(pids, snapshot) for name, pids in roots.items() if pids})


def microseconds_each(seconds: Mapping[str, float], requests: int) -> dict[str, float]:
    """Microseconds per request, rounded to a tenth."""
    return {name: round(used * 1e6 / requests, 1) if requests else 0.0 for name, used in seconds.items()}
