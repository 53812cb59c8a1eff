"""Faults of clusters under load. They are verified in the same way as those of `tests.faults`.

Contains the loss of a member. Patroni, Kafka and the Sentinels choose its replacement.
"""

import json
import os
import signal
from typing import Any
from urllib.request import urlopen

from django.db import connection
from redis.sentinel import Sentinel

from commerce.core.postgresql.base import DatabaseWrapper
from commerce.embedded.ports import LOOPBACK
from tests.cluster.patroni import PatroniCluster
from tests.faults.deliveries import sells_and_sends
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant
from tests.poolers.sentinels import Servers as Sentinels

FAILOVER_SECONDS = 40.0
"""Patroni's `ttl` (20 s), then the promotion, and the same time again for a busy machine."""
SWITCHOVER_SECONDS = 15.0
_BEHIND_SECONDS = 0.5
_PROBE_SECONDS = 5.0


def _cluster(run: Run) -> PatroniCluster:
    cluster = run.servers.postgres
    assert isinstance(cluster, PatroniCluster)
    return cluster


class _OfPostgres(Fault):
    gap_seconds = (1.0, 2.0)
    most_shots = 4
    patience_seconds = 30.0

    def heal(self, run: Run) -> None:
        # The harness also uses the database.
        connection.close()


class LeaderKilled(_OfPostgres):
    """The standbys receive nothing for half a second, then the leader is lost with its unreplicated data."""

    number = "C1"
    title = "PostgreSQL leader and its Patroni kill -9"
    protection = "COMMIT returns when a standby has it"
    control_shows = "was acknowledged, and its"
    healthy_seconds = FAILOVER_SECONDS

    def control(self) -> Variant:
        return Variant(patches=("tests.cluster.faults.commit_is_the_primarys_alone",))

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
    protection = "Patroni makes another standby the synchronous one"
    control_shows = "healthy again not at all"
    healthy_seconds = SWITCHOVER_SECONDS

    def control(self) -> Variant:
        return Variant(weakens_servers=True)

    def strike(self, run: Run) -> str:
        cluster = _cluster(run)
        cluster.recover()
        leader, standby = cluster.leader(), cluster.synchronous_standby()
        if leader is None or standby is None:
            raise NotFired("there is no leader, or no synchronous standby")
        if run.shop.variant.weakens_servers:
            # The leader's Patroni is the one that chooses.
            leader.pause_patroni()
        standby.kill()
        return f"{standby.name} killed"


class SwitchedOver(_OfPostgres):
    """As for an upgrade: the leader shuts down gracefully, and its synchronous standby takes over."""

    number = "C3"
    title = "planned switchover"
    protection = "DATABASE_URL names all servers, and a new connection leads to the one that accepts writes"
    control_shows = ""
    healthy_seconds = SWITCHOVER_SECONDS

    def control(self) -> Variant:
        raise NotImplementedError("A shop that knows only the first primary cannot answer the retries of the judge.")

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
    protection = "without Redis a write takes its locks in PostgreSQL, and the Sentinels name the new primary"
    control_shows = ("failed during", "healthy again not at all")
    gap_seconds = (1.0, 2.0)
    hold_seconds = (3.0, 3.0)
    most_shots = 4
    sells_on = True

    def control(self) -> Variant:
        return Variant(
            patches=(
                "tests.faults.f04_redis_killed.locks_need_redis",
                "tests.cluster.faults.only_the_first_redis_is_known",
            ),
            weakens_servers=True,
        )

    def strike(self, run: Run) -> str:
        sentinels: Any = run.servers.redis
        assert isinstance(sentinels, Sentinels)
        sentinels.recover()
        before = sentinels.primary_port()
        if run.shop.variant.weakens_servers:
            # Such a shop cannot answer the retries before its server is the primary again.
            sentinels.lead_again = before
        sentinels.kill_the_primary()
        return f"Redis at {before} killed, {sentinels.primary_port()} made the primary"

    def is_well(self, run: Run) -> bool:
        """Whether an order succeeds, and both databases of Redis are used again."""
        try:
            with urlopen(f"http://{LOOPBACK}:{run.shop.port}/readyz", timeout=_PROBE_SECONDS) as answer:
                parts = json.load(answer)
        except OSError:
            return False
        return parts["redis"] == parts["cache"] == "up" and super().is_well(run)


def commit_is_the_primarys_alone() -> None:
    """COMMIT returns when the primary has written it to disk, regardless of the standbys."""
    connect = DatabaseWrapper.get_new_connection

    def without_standbys(self: DatabaseWrapper, conn_params: dict[str, Any]) -> Any:
        options = f"{conn_params['options']} -c synchronous_commit=local"
        return connect(self, {**conn_params, "options": options})

    DatabaseWrapper.get_new_connection = without_standbys  # type: ignore[method-assign]  # that is the point


def only_the_first_redis_is_known() -> None:
    """All connections lead to the Redis server that was the primary when the process first asked the Sentinels."""
    discover = Sentinel.discover_master
    known: dict[str, Any] = {}

    def the_first(self: Sentinel, service_name: str) -> Any:
        if service_name not in known:
            known[service_name] = discover(self, service_name)
        return known[service_name]

    Sentinel.discover_master = the_first  # type: ignore[method-assign]  # that is the point
