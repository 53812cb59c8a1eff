"""Faults of clusters under load. They are verified in the same way as those of `tests.faults`.

Contains the loss of a member. Patroni, Kafka and the Sentinels choose its replacement.
"""

import os
import signal
from typing import Any

from django.db import connection

from commerce.core.postgresql.base import DatabaseWrapper
from tests.cluster.patroni import PatroniCluster
from tests.faults.deliveries import sells_and_sends
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

FAILOVER_SECONDS = 40.0
"""Patroni's `ttl` (20 s), then the promotion, and the same time again for a busy machine."""
SWITCHOVER_SECONDS = 15.0
_BEHIND_SECONDS = 0.5


def _cluster(run: Run) -> PatroniCluster:
    cluster = run.servers.postgres
    assert isinstance(cluster, PatroniCluster)
    return cluster


class _OfPostgres(Fault):
    gap_seconds = (1.0, 2.0)
    most_shots = 4
    protection = "COMMIT returns when a standby has it"
    control_shows = "was acknowledged, and its"
    patience_seconds = 30.0

    def control(self) -> Variant:
        return Variant(patches=("tests.cluster.faults.commit_is_the_primarys_alone",))

    def heal(self, run: Run) -> None:
        # The harness also uses the database.
        connection.close()


class LeaderKilled(_OfPostgres):
    """The standbys receive nothing for half a second, then the leader is lost with its unreplicated data."""

    number = "C1"
    title = "PostgreSQL leader and its Patroni kill -9"
    healthy_seconds = FAILOVER_SECONDS

    def strike(self, run: Run) -> str:
        cluster = _cluster(run)
        cluster.recover()
        connection.close()
        leader = cluster.leader()
        if leader is None:
            raise NotFired("nobody leads")
        receivers = [pid for node in cluster.nodes if node is not leader for pid in node.receivers()]
        for pid in receivers:
            os.kill(pid, signal.SIGSTOP)
        run.pause(_BEHIND_SECONDS)
        leader.kill()
        for pid in receivers:
            # They end before they process data that has reached their machine, as after a network partition.
            os.kill(pid, signal.SIGTERM)
        cluster.let_go()
        return f"{leader.name} killed with {len(receivers)} standbys {_BEHIND_SECONDS} s behind"


class StandbyKilled(_OfPostgres):
    """Every COMMIT waits for it, until Patroni has chosen another one."""

    number = "C2"
    title = "synchronous standby and its Patroni kill -9"
    healthy_seconds = SWITCHOVER_SECONDS

    def strike(self, run: Run) -> str:
        cluster = _cluster(run)
        cluster.recover()
        standby = cluster.synchronous_standby()
        if standby is None:
            raise NotFired("there is no synchronous standby")
        standby.kill()
        return f"{standby.name} killed"


class SwitchedOver(_OfPostgres):
    """As for an upgrade: the leader shuts down gracefully, and its synchronous standby takes over."""

    number = "C3"
    title = "planned switchover"
    healthy_seconds = SWITCHOVER_SECONDS

    def strike(self, run: Run) -> str:
        cluster = _cluster(run)
        cluster.recover()
        return cluster.switch_over()


class BrokerKilled(Fault):
    """Two of three are left, the minimum number of replicas of a message."""

    number = "C4"
    title = "one of three Kafka brokers kill -9"
    protection = "a message is done only when the broker has acknowledged it"
    control_shows = "has no balance-changed in Kafka"
    gap_seconds = (1.0, 2.0)
    hold_seconds = (3.0, 5.0)
    most_shots = 4
    sells_on = True
    healthy_seconds = FAILOVER_SECONDS
    patience_seconds = 60.0
    reads_topics = True

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.weakened.kafka_believed_blindly",))

    def strike(self, run: Run) -> str:
        run.servers.kafka.recover()
        run.servers.kafka.kill()
        return "the broker that led the most partitions killed"

    def is_well(self, run: Run) -> bool:
        return sells_and_sends(run)


class RedisPrimaryKilled(Fault):
    """The Sentinels promote its replica; meanwhile locks are in PostgreSQL."""

    number = "C5"
    title = "Redis primary kill -9, with Sentinels"
    protection = "the database decides, and a Redis lock is a courtesy"
    control_shows = ""
    fewest_shots = most_shots = 1
    hold_seconds = (5.0, 5.0)
    sells_on = True

    def control(self) -> Variant:
        raise NotImplementedError("Redis locks protect nothing, so nothing can be taken away.")

    def strike(self, run: Run) -> str:
        servers: Any = run.servers
        before = servers.sentinels.primary_port()
        servers.sentinels.kill_the_primary()
        return f"Redis at {before} killed, {servers.sentinels.primary_port()} made the primary"


def commit_is_the_primarys_alone() -> None:
    """COMMIT returns when the primary has written it to disk, regardless of the standbys."""
    connect = DatabaseWrapper.get_new_connection

    def without_standbys(self: DatabaseWrapper, conn_params: dict[str, Any]) -> Any:
        options = f"{conn_params['options']} -c synchronous_commit=local"
        return connect(self, {**conn_params, "options": options})

    DatabaseWrapper.get_new_connection = without_standbys  # type: ignore[method-assign]  # that is the point
