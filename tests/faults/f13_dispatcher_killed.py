"""F13: a dispatcher dies between a broker's acknowledgement and its record, at every other step, and beside others."""

from collections.abc import Sequence

from commerce.core import sql
from commerce.outbox import dispatcher_lock
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.sinks.base import Message
from tests.embedded.processes import is_alive
from tests.faults.deliveries import sells_and_sends
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.points import KILL, sleep
from tests.faults.shop import Variant
from tests.faults.topics import sent_twice

_FIRST = "relay.before-kafka"
_LAST_WORD = "relay.after-kafka"
_STEPS = (
    _FIRST,
    _LAST_WORD,
    *("relay.before-data-platform", "relay.after-data-platform"),
    *("relay.after-read", "relay.after-acknowledged", "relay.after-record"),
)
_ALONE = {"OUTBOX_DISPATCH_IN_WEB": "false"}
# The web workers dispatch too, so there are several dispatchers. None is killed here, so no message may be duplicated.
_SEVERAL = {"OUTBOX_DISPATCH_IN_WEB": "true", "OUTBOX_POLL_SECONDS": "0.1"}
_TURN_SECONDS = 1.5
_MARK_BEFORE = "UPDATE outbox_message SET sent_at = now() WHERE id = ANY(%s::bigint[])"


class DispatcherKilled(Fault):
    """The only dispatcher dies at a step of its work. Another one starts, and resends messages without a record."""

    number = "F13a"
    title = "dispatcher kill -9, at each step"
    protection = "a message is marked as sent after it was sent, not before"
    control_shows = "has no balance-changed in Kafka"
    gap_seconds = (0.2, 0.6)
    sells_on = True
    slowest_order_seconds = 3.0
    reads_topics = True

    def variant(self) -> Variant:
        return Variant(settings=_ALONE)

    def control(self) -> Variant:
        return Variant(settings=_ALONE, patches=("tests.faults.f13_dispatcher_killed.mark_before_sending",))

    def strike(self, run: Run) -> str:
        struck = {shot.what.rpartition(" ")[2] for shot in run.shots}
        left = [point for point in _STEPS if point not in struck] or _STEPS
        point = left[0] if left[0] in (_FIRST, _LAST_WORD) else run.random.choice(left)
        before = run.fired(point)
        run.shop.points.arm(point, KILL)
        pid = run.wait_for_point(point, fired_before=before)
        if not run.wait_until(lambda: not is_alive(pid), seconds=5):
            raise NotFired(f"dispatcher {pid} survived SIGKILL")
        return f"dispatcher {pid} killed at {point}"

    def is_well(self, run: Run) -> bool:
        return sells_and_sends(run)


class ManyDispatchers(Fault):
    """One of several dispatchers is slow while it holds the lock. The others neither send its batch nor overtake it."""

    number = "F13b"
    in_short = False
    title = "several dispatchers, one slow"
    protection = "one dispatcher at a time has the turn"
    control_shows = "times in Kafka"
    gap_seconds = (0.2, 0.6)
    sells_on = True
    slowest_order_seconds = 3.0
    reads_topics = True

    def variant(self) -> Variant:
        return Variant(settings=_SEVERAL)

    def control(self) -> Variant:
        return Variant(settings=_SEVERAL, patches=("tests.faults.f13_dispatcher_killed.every_dispatcher_has_the_lock",))

    def strike(self, run: Run) -> str:
        points = ("relay.before-kafka", "web.before-kafka")
        before = sum(map(run.fired, points))
        for point in points:
            run.shop.points.arm(point, sleep(_TURN_SECONDS))
        try:
            if not run.wait_until(lambda: sum(map(run.fired, points)) > before, seconds=10):
                raise NotFired("no dispatcher had anything for Kafka")
        finally:
            run.shop.points.disarm()
        slow = [firing for firing in run.shop.points.fired() if firing.point in points][-1]
        run.pause(_TURN_SECONDS)
        return f"{slow.pid} held up with a batch at {slow.point}"

    def is_well(self, run: Run) -> bool:
        return sells_and_sends(run)

    def judge(self, run: Run) -> list[str]:
        prefix = run.shop.environment["KAFKA_TOPIC_PREFIX"]
        return sent_twice(run.servers.kafka.bootstrap_servers, prefix=prefix)


def mark_before_sending() -> None:
    """A batch is marked as sent when it is read."""
    due = Dispatcher._due

    def read_and_mark(self: Dispatcher) -> Sequence[Message]:
        batch = due(self)
        if batch:
            sql.execute(_MARK_BEFORE, [[message.id for message in batch]])
        return batch

    Dispatcher._due = read_and_mark  # type: ignore[method-assign,assignment]  # that is the point


def every_dispatcher_has_the_lock() -> None:
    """Dispatchers do not check whether another one is working."""

    dispatcher_lock.TRY_LOCK = "SELECT %s <> ''"
