"""The servers of a test run: PostgreSQL, Redis and a Kafka-protocol broker, started before Django reads its settings.

A pytest plugin (`-p tests.servers`). It does not touch a stack of `make run`, nor servers whose addresses were given.
its own.
"""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from commerce.embedded.broker import Broker
from commerce.embedded.ports import LOOPBACK, reserve
from commerce.embedded.postgres import Postgres
from commerce.embedded.redis_server import Redis
from tests import migrated

OWN_POSTGRES = "TEST_OWN_POSTGRES"
"""Set if the run has started its own PostgreSQL, also for its workers."""
_KAFKA_GIVEN = "TEST_KAFKA_GIVEN"
"""Set for the workers if a Kafka address was given: otherwise the address may be another worker's broker."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """A wrapper, because pytest-django imports the settings in its own implementation of this hook."""
    servers = ExitStack()
    early_config.add_cleanup(servers.close)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        # On SIGTERM (a timeout, a cancelled pipeline) the run cleans up as after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # A background process of a shell ignores Ctrl-C, and its child processes would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        start_shared_servers(servers, parallel=bool(getattr(early_config.known_args_namespace, "numprocesses", None)))
    else:
        choose_redis_databases(int(worker.removeprefix("gw")))
    start_broker(servers, name=worker or "main")
    refuse_data_platform_calls(servers)
    return (yield)


def kafka_was_given() -> bool:
    """Whether KAFKA_BOOTSTRAP_SERVERS named a cluster for this run."""
    return _KAFKA_GIVEN in os.environ


def start_shared_servers(servers: ExitStack, *, parallel: bool) -> None:
    """Start the servers shared by all processes of the run, and set the folder and the settings.

    `parallel`: the tests run in workers, which copy a migrated database.
    """
    directory = Path(tempfile.mkdtemp(prefix="commerce-tests-")).resolve()
    servers.callback(shutil.rmtree, directory, ignore_errors=True)
    # No stack runs there, so the settings do not use one that runs on the same machine.
    os.environ["LOCAL_DIR"] = str(directory)
    # Tests start many processes. Without bytecode files each would compile the project: a third of its start time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    os.environ["HTTPS"] = "false"
    os.environ["ALLOWED_HOSTS"] = "localhost,127.0.0.1,testserver"
    # On a busy machine a transaction of a test may be paused for long. Tests of the timeout set their own.
    os.environ["DATABASE_IDLE_TIMEOUT_MS"] = "60000"
    # On a busy machine a call may take longer than the default, and a write then needs one more statement.
    os.environ["REDIS_TIMEOUT_SECONDS"] = "5"
    # The limits are off; their tests enable them.
    for limit in ("WRITES_PER_SECOND", "COUPON_ISSUES_PER_SECOND", "LOGINS_PER_MINUTE", "LOGIN_FAILURES_PER_MINUTE",
                  "LOGIN_FAILURES_PER_HOUR"):  # fmt: skip
        os.environ[limit] = "0"
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        os.environ[_KAFKA_GIVEN] = "1"
    if "DATABASE_URL" not in os.environ:
        postgres = Postgres(directory / "postgres", logs=directory, durable=False)
        servers.callback(postgres.child.stop)
        postgres.start()
        os.environ["DATABASE_URL"] = postgres.url
        os.environ[OWN_POSTGRES] = "1"
    if "REDIS_URL" not in os.environ:
        redis = Redis(directory / "redis", logs=directory, durable=False)
        servers.callback(redis.child.stop)
        redis.start()
        os.environ["REDIS_URL"] = redis.database_url(0)
        os.environ["LOCK_REDIS_URL"] = redis.database_url(1)
    if parallel and OWN_POSTGRES in os.environ:
        servers.callback(migrated.start_making(directory).stop)


def choose_redis_databases(worker: int) -> None:
    """Give a parallel worker its own two Redis databases on the shared server, for cache and locks.

    A given server must have enough databases: two, plus two for each worker.
    """
    server = os.environ["REDIS_URL"].rsplit("/", 1)[0]
    os.environ["REDIS_URL"] = f"{server}/{2 * worker + 2}"
    os.environ["LOCK_REDIS_URL"] = f"{server}/{2 * worker + 3}"


def start_broker(servers: ExitStack, *, name: str) -> None:
    """Start a broker per process, so that parallel tests do not read each other's events; a given one is shared."""
    if kafka_was_given():
        return
    directory = Path(os.environ["LOCAL_DIR"]) / name
    broker = Broker(directory, logs=directory)
    servers.callback(broker.child.stop)
    broker.start()
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers


def refuse_data_platform_calls(servers: ExitStack) -> None:
    """Set the address of the data platform to one that refuses connections and is not used by others meanwhile."""
    holder = servers.enter_context(reserve(LOOPBACK, 0))
    os.environ["DATA_PLATFORM_URL"] = f"http://{LOOPBACK}:{holder.getsockname()[1]}/orders"
    os.environ["DATA_PLATFORM_SECRET"] = secrets.token_urlsafe(48)
