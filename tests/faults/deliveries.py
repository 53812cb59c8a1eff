"""The state of a call's events in the database: delivered, counted.

Does not wait and does not deliver.
"""

from collections.abc import Callable

from commerce.core import sql
from tests.events import completed_id
from tests.faults.fault import Run

_ARRIVED_SECONDS = 0.5
_WAITING = "SELECT count(*) FROM outbox_message WHERE event_id = %s AND sent_at IS NULL"
_COUNTED = "SELECT count(*) FROM processed_event WHERE event_id = %s"


def is_sent(event_id: str) -> bool:
    """Whether every destination has acknowledged the event."""
    return _number(_WAITING, event_id) == 0


def is_counted(event_id: str) -> bool:
    """Whether the statistics contain the event."""
    return _number(_COUNTED, event_id) == 1


def sells_and_sends(run: Run) -> bool:
    """Whether an order succeeds and its events are delivered at once."""
    return _sells_and(run, is_sent)


def sells_and_counts(run: Run) -> bool:
    """Whether an order succeeds and is counted at once."""
    return _sells_and(run, is_counted)


def _sells_and(run: Run, arrived: Callable[[str], bool]) -> bool:
    call = run.probe()
    if call.status != 200:
        return False
    event_id = completed_id(call.json)
    return run.wait_until(lambda: arrived(event_id), seconds=_ARRIVED_SECONDS)


def _number(statement: str, event_id: str) -> int:
    row = sql.fetch_one(statement, [event_id])
    assert row is not None
    return int(row[0])
