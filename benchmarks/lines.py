"""The lines of the table, in order."""

from collections.abc import Sequence

from benchmarks import alone, events, growth, lines_of_gateway, lines_of_reads, lines_of_writes, refusals, rush
from benchmarks.line import Line


def all_lines() -> Sequence[Line]:
    return [
        *lines_of_reads.lines(),
        *lines_of_gateway.lines(),
        *lines_of_writes.lines(),
        *refusals.lines(),
        *alone.lines(),
        *rush.lines(),
        *events.lines(),
        *growth.lines(),
    ]
