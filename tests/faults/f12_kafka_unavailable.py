"""F12: Kafka does not answer, or is dead, for the duration of a shot."""

from tests.faults.deliveries import sells_and_sends
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.quiet import under_way
from tests.faults.shop import Variant

_BACKLOG_SECONDS = 10.0


class _KafkaUnavailable(Fault):
    """Orders are not affected, and all events are delivered afterwards."""

    protection = "a message is done only when the broker has acknowledged it"
    control_shows = "has no balance-changed in Kafka"
    gap_seconds = (0.5, 1.0)
    hold_seconds = (4.0, 8.0)
    most_shots = 10
    sells_on = True
    slowest_order_seconds = 3.0
    reads_topics = True

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.weakened.kafka_believed_blindly",))

    def is_well(self, run: Run) -> bool:
        return sells_and_sends(run)


class KafkaPaused(_KafkaUnavailable):
    """The broker is paused under load."""

    number = "F12a"
    title = "Kafka paused"

    def strike(self, run: Run) -> str:
        run.servers.kafka.pause()
        return f"broker paused, {_backlog(run)} messages waiting soon after"

    def heal(self, run: Run) -> None:
        run.servers.kafka.resume()


class KafkaKilled(_KafkaUnavailable):
    """The broker is killed under load, and restarted with its data."""

    number = "F12b"
    title = "Kafka kill -9"
    needs_apache_kafka = True

    def strike(self, run: Run) -> str:
        run.servers.kafka.kill()
        return f"broker killed, {_backlog(run)} messages waiting soon after"

    def heal(self, run: Run) -> None:
        run.servers.kafka.recover()


def _backlog(run: Run) -> int:
    """The number of waiting messages. Those in flight when the outage began cannot be distinguished from later ones.

    Raises NotFired.
    """
    sold = len(run.history.calls)
    if not run.wait_until(lambda: len(run.history.calls) > sold + 50, seconds=_BACKLOG_SECONDS):
        raise NotFired("there were no requests while Kafka was unavailable")
    return under_way()[0]
