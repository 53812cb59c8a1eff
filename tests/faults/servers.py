"""PostgreSQL, Redis, the broker and the data platform of one run of the harness, and a new database per shop.

They are started once, because that takes seconds. The processes of the shop itself are in `shop`.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import psycopg
import redis
from psycopg import sql

from commerce.embedded.broker import Broker
from commerce.embedded.children import PROJECT_ROOT
from commerce.embedded.command_lines import manage
from commerce.embedded.postgres import DATABASE, Postgres
from commerce.embedded.redis_server import Redis
from commerce.embedded.sink import Sink
from tests.faults.parts import Part
from tests.kafka.jars import kafka_jars
from tests.kafka.node import Node

COMMAND_SECONDS = 120.0
_IDS_APART = 1_000_000_000
"""The distance between the first ids of two databases, so that event ids in the data platform are unique."""
_LIMITS = (
    *("WRITES_PER_SECOND", "COUPON_ISSUES_PER_SECOND"),
    *("LOGINS_PER_MINUTE", "LOGIN_FAILURES_PER_MINUTE", "LOGIN_FAILURES_PER_HOUR"),
)
_NUMBERED_IN_EVENTS = ("order", "user_balance_tx", "user_coupon")


class Kafka(Protocol):
    """A broker, of either kind."""

    @property
    def bootstrap_servers(self) -> str: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...
    def recover(self) -> None: ...


class MemoryBroker:
    """The embedded broker. It can be paused, but not killed: it is in memory, and would get another address."""

    def __init__(self, folder: Path, *, logs: Path) -> None:
        self._broker = Broker(folder, logs=logs)

    @property
    def bootstrap_servers(self) -> str:
        return self._broker.bootstrap_servers

    def start(self) -> None:
        self._broker.start()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        raise NotImplementedError("The embedded broker keeps nothing: killed, it has lost what it acknowledged.")

    def stop(self) -> None:
        if self._broker.child.running:
            self.resume()
        self._broker.child.stop()

    def recover(self) -> None:
        self.resume()

    def _signal(self, number: signal.Signals) -> None:
        pid = self._broker.child.pid
        assert pid is not None
        os.kill(pid, number)


class Servers:
    """The servers of one run, in a temporary folder that is removed at the end.

    Attributes:
        environment: what every process of the shop has in common, the harness's own Django included.
        kafka: the broker.
        makes_topics: whether topics must be made before they are used, and the broker keeps what it has when killed:
            it is Apache Kafka.
    """

    def __init__(self, *, kafka: str, keep: bool = False) -> None:
        """`kafka`: `embedded` or `apache`. `keep` keeps the folder with its logs."""
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="commerce-faults-")).resolve()
        if not keep:
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.logs = self.folder / "logs"
        self.secret = secrets.token_urlsafe(48)
        self._databases = 0
        self._parts: list[Part] = []
        self.makes_topics = kafka == "apache"

    def start(self) -> None:
        """Start all servers and create the tables. Raises EmbeddedError, KafkaUnavailable."""
        self.postgres = self._start_postgres()
        self._parts.append(self.postgres)
        self.redis = self._start_redis()
        self._parts.append(self.redis)
        self.sink = self._start_sink()
        self._parts.append(self.sink)
        self.kafka = self._start_kafka()
        self.environment = self._environment()
        self.run_command("migrate", "--noinput", "--skip-checks", environment=self.environment)
        self.run_command("collectstatic", "--noinput", "--skip-checks", environment=self.environment)

    def stop(self) -> None:
        """Stop everything and remove the folder."""
        for part in self._parts:
            part.let_go()
        self._stack.close()

    def database_url(self, name: str) -> str:
        return self._postgres_url.rsplit("/", 1)[0] + f"/{name}"

    def new_database(self) -> str:
        """Create a database with empty tables and a separate range of ids. Returns its name."""
        self._databases += 1
        name = f"shop_{self._databases}"
        with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(DATABASE))
            )
        with psycopg.connect(self.database_url(name), autocommit=True) as connection:
            for table in _NUMBERED_IN_EVENTS:
                connection.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)",
                    [f'"{table}"', self._databases * _IDS_APART],
                )
        return name

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def run_command(self, *arguments: str, environment: Mapping[str, str]) -> str:
        """Run a manage.py command and return its output.

        Raises subprocess.CalledProcessError, with the output, if it fails.
        """
        done = subprocess.run(  # noqa: S603 - our own command
            manage(*arguments),
            env=dict(environment),
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)
        return done.stdout

    def reported_keys(self) -> set[str]:
        """The events that the data platform has acknowledged, by id."""
        lines = (self.folder / "data-platform.jsonl").read_bytes().split(b"\n")[:-1]
        return {json.loads(line)["key"] for line in lines}

    def lock_redis_client(self) -> redis.Redis:
        """The URL of the server that currently has the locks."""
        return redis.Redis.from_url(self.lock_redis_url)

    def _start_postgres(self) -> Part:
        postgres = Postgres(self.folder / "postgres", logs=self.logs)
        self._stack.callback(postgres.child.stop)
        postgres.start()
        self._postgres_url = postgres.url
        return Part(postgres.child, start=postgres.restart, ready=postgres.ready)

    def _start_redis(self) -> Part:
        # Locks and caches must not outlive their server.
        server = Redis(self.folder / "redis", logs=self.logs, durable=False)
        self._stack.callback(server.child.stop)
        server.start()
        self.redis_url = server.database_url(0)
        self.lock_redis_url = server.database_url(1)
        return Part(server.child, start=server.child.start, ready=server.ready)

    def _start_sink(self) -> Part:
        sink = Sink(self.folder, secret=self.secret, logs=self.logs)
        self._stack.callback(sink.child.stop)
        sink.start()
        self.sink_url = sink.url
        return Part(sink.child, start=sink.restart, ready=sink.ready)

    def _start_kafka(self) -> Kafka:
        broker: Kafka
        if self.makes_topics:
            folder = self.folder / "kafka"
            folder.mkdir()
            broker = Node(folder, jars=kafka_jars())
        else:
            broker = MemoryBroker(self.folder / "broker", logs=self.logs)
        self._stack.callback(broker.stop)
        broker.start()
        return broker

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "commerce.settings",
            # No stack runs there, so the settings do not use one that runs on the same machine.
            "LOCAL_DIR": str(self.folder),
            # Compiled once for all processes of a run, outside of the source folders.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),
            "PYTHONUNBUFFERED": "1",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATABASE_URL": self.database_url(DATABASE),
            "REDIS_URL": self.redis_url,
            "LOCK_REDIS_URL": self.lock_redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "DATA_PLATFORM_URL": self.sink_url,
            "DATA_PLATFORM_SECRET": self.secret,
            "STATIC_ROOT": str(self.folder / "static"),
            "HTTPS": "false",
            "ALLOWED_HOSTS": "127.0.0.1",
            # A few customers generate the load; rate limits have their own tests.
            **dict.fromkeys(_LIMITS, "0"),
            # The tokens of a scene are created once.
            "ACCESS_TOKEN_MINUTES": "600",
        }
