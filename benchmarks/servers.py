"""PostgreSQL, Redis and the broker of a run: embedded ones, or those that the caller's variables name.

Contains the settings that all processes share, and the folder of the run.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import psycopg

from benchmarks.errors import BenchmarkFailed
from commerce.embedded.broker import Broker
from commerce.embedded.children import PROJECT_ROOT
from commerce.embedded.command_lines import manage
from commerce.embedded.postgres import Postgres
from commerce.embedded.redis_server import Redis
from commerce.embedded.variables import given

_COMMAND_SECONDS = 1_800.0
LIMITS_OFF = {
    "WRITES_PER_SECOND": "0",
    "COUPON_ISSUES_PER_SECOND": "0",
    "LOGINS_PER_MINUTE": "0",
}
"""The limits per account and address: the few customers of the benchmark would exceed them."""


TIME_ZONE = "Asia/Seoul"


class Servers:
    """The servers of one run.

    Attributes:
        folder: data, logs and token files; removed at the end.
        environment: the variables of every process of the run.
        pids: process ids by part, for processor time; without servers that the caller has provided.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="commerce-bench-")).resolve()
        if not keep:
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.logs = self.folder / "logs"
        self.signing_key = secrets.token_urlsafe(48)
        self.pids: dict[str, list[int]] = {}
        self.environment: dict[str, str] = {}

    def start(self) -> None:
        """Start the servers that were not provided, and create the tables. Raises EmbeddedError, BenchmarkFailed."""
        self.database_url = given("DATABASE_URL") or self._start_postgres()
        redis_url = given("REDIS_URL") or self._start_redis()
        brokers = given("KAFKA_BOOTSTRAP_SERVERS") or self._start_broker()
        self.environment = self._environment(redis_url, brokers)
        self.manage("migrate", "--noinput", "--skip-checks")
        if given("KAFKA_BOOTSTRAP_SERVERS"):
            self.manage("create_topics")

    def stop(self) -> None:
        """Stop the started servers and remove the folder."""
        self._stack.close()

    def connect(self) -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(self.database_url, autocommit=True, connect_timeout=5)

    def redis_url_of(self, place: int) -> str:
        """The URL of another numbered database of the Redis server."""
        return self.environment["REDIS_URL"].rsplit("/", 1)[0] + f"/{place}"

    def manage(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a manage.py command and return its output. Raises BenchmarkFailed if it fails."""
        done = self.run(manage(*arguments), environment=environment)
        if done.returncode:
            raise BenchmarkFailed(
                f"manage.py {' '.join(arguments)} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def run(
        self, command: list[str], *, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of our commands with the settings of the run."""
        return subprocess.run(  # noqa: S603 - our own command, no shell
            command,
            env={**self.environment, **(environment or {})},
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def _start_postgres(self) -> str:
        postgres = Postgres(self.folder / "postgres", logs=self.logs, durable=True)
        self._stack.callback(postgres.child.stop)
        postgres.start()
        self.pids["postgres"] = _pids(postgres.child.pid)
        return postgres.url

    def _start_redis(self) -> str:
        redis = Redis(self.folder / "redis", logs=self.logs, durable=True)
        self._stack.callback(redis.child.stop)
        redis.start()
        self.pids["redis"] = _pids(redis.child.pid)
        return redis.url

    def _start_broker(self) -> str:
        broker = Broker(self.folder / "broker", logs=self.logs)
        self._stack.callback(broker.child.stop)
        broker.start()
        self.pids["broker"] = _pids(broker.child.pid)
        return broker.bootstrap_servers

    def _environment(self, redis_url: str, brokers: str) -> dict[str, str]:
        # Kept between runs, outside of the source folders if these must not contain it.
        compiled = {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(PROJECT_ROOT / ".local-bench" / "compiled"),
        }
        run = self.folder.name.rpartition("-")[2]
        # A separate prefix of topics and a separate group, in case the broker is shared.
        own_topics = {"KAFKA_TOPIC_PREFIX": f"bench-{run}-", "KAFKA_CONSUMER_GROUP": f"bench-{run}"}
        static = self.folder / "static"
        static.mkdir(exist_ok=True)
        return {
            **os.environ,
            **(compiled if given("PYTHONDONTWRITEBYTECODE") else {}),
            **(own_topics if given("KAFKA_BOOTSTRAP_SERVERS") else {}),
            **LIMITS_OFF,
            "DJANGO_SETTINGS_MODULE": "commerce.settings",
            # No stack runs there, so the settings do not use one that runs on the same machine.
            "LOCAL_DIR": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "SECRET_KEY": self.signing_key,
            "JWT_SIGNING_KEY": self.signing_key,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": redis_url,
            "LOCK_REDIS_URL": given("LOCK_REDIS_URL") or redis_url.rsplit("/", 1)[0] + "/1",
            "KAFKA_BOOTSTRAP_SERVERS": brokers,
            "DATA_PLATFORM_URL": "",
            "STATIC_ROOT": str(static),
            "HTTPS": "false",
            "ALLOWED_HOSTS": "127.0.0.1",
            "TIME_ZONE": TIME_ZONE,
            "ACCESS_TOKEN_MINUTES": "1440",
        }


def _pids(pid: int | None) -> list[int]:
    return [] if pid is None else [pid]
