"""The servers of a run, with one kind of them as a cluster.

The other servers are those of `tests.faults`.
"""

from contextlib import ExitStack
from typing import Any

import redis

from commerce.core.redis_urls import beside
from commerce.embedded.ports import LOOPBACK
from tests.cluster.brokers import Brokers
from tests.cluster.patroni import PatroniCluster
from tests.faults.servers import Kafka, Servers
from tests.kafka.jars import kafka_jars
from tests.poolers.sentinels import PASSWORD, sentinels


class WithPatroni(Servers):
    """Three PostgreSQL servers."""

    postgres: Any

    def database_url(self, name: str) -> str:
        return self.cluster.url(name)

    def _start_postgres(self) -> Any:
        self.cluster = PatroniCluster(self.folder / "patroni", logs=self.logs)
        self._stack.callback(self.cluster.stop)
        self.cluster.start()
        return self.cluster


class WithBrokers(Servers):
    """Three Kafka brokers, and three replicas of every message."""

    def __init__(self, *, kafka: str, keep: bool = False) -> None:
        super().__init__(kafka="apache", keep=keep)

    def _start_kafka(self) -> Kafka:
        folder = self.folder / "kafka"
        folder.mkdir()
        brokers = Brokers(folder, logs=self.logs, jars=kafka_jars())
        self._stack.callback(brokers.stop)
        brokers.start()
        return brokers

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "KAFKA_TOPIC_REPLICATION": "3"}


class WithSentinels(Servers):
    """A Redis primary, its replica and three Sentinels."""

    redis: Any

    def _start_redis(self) -> Any:
        running = ExitStack()
        self._stack.callback(running.close)
        self.sentinels = running.enter_context(sentinels(self.folder / "sentinels"))
        self.redis_url = self.sentinels.url
        self.lock_redis_url = beside("REDIS_URL", self.redis_url)
        return self.sentinels

    def lock_redis_client(self) -> redis.Redis:
        return redis.Redis(LOOPBACK, self.sentinels.primary_port(), db=1, password=PASSWORD)
