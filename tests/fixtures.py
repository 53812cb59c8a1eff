"""Common fixtures: clients of the API, empty Redis databases, settings for tests.

They reset the state that outlives a database transaction (Redis, pauses, caches in the process). Each worker uses its
own Redis databases.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings as project_settings
from django.db import connection
from django.urls import clear_script_prefix
from django_redis import get_redis_connection
from pytest_django import DjangoDbBlocker, Settings
from redis import exceptions as redis_errors

import commerce.urls  # noqa: F401  # registers the pages of the back-office, and what happens at its logins
from balances.models import User
from commerce.core import rate_limit, redis_services
from commerce.core.group_commit import close_idle_connections
from commerce.core.passwords import PBKDF2InThread
from commerce.embedded.redis_server import Redis
from commerce.outbox import dispatcher_lock
from commerce.server import health, ready_pages
from commerce.server.handler import ShopHandler
from commerce.server.ready_pages import ReadyPages
from products.models import Product
from products.selectors import PRODUCT_LIST
from stats.selectors import POPULAR
from tests import migrated
from tests.breaking import resume
from tests.emptying import emptied_by_deleting
from tests.factories import ProductFactory, UserFactory
from tests.servers import OWN_POSTGRES
from tests.shopper import Shopper
from tests.together import wait_until


@pytest.fixture(scope="session")
def django_db_keepdb(request: pytest.FixtureRequest) -> bool:
    """If PostgreSQL is stopped after the run, the databases need not be dropped, which can take long."""
    return OWN_POSTGRES in os.environ or bool(request.config.getvalue("reuse_db"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """A worker copies the migrated database; its own migration then finds nothing to do."""
    if migrated.is_made():
        connection.settings_dict["TEST"]["TEMPLATE"] = migrated.NAME


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Connections of writes and dispatchers are kept between tests, and closed before the database is dropped."""
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            stack.enter_context(emptied_by_deleting())
        yield
    close_idle_connections()
    dispatcher_lock.close_idle_connections()
    health.close_connection()


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """One iteration of the shop's password hash: otherwise a login or a new password takes a third of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2InThread, "iterations", 1)
        yield


@pytest.fixture(autouse=True)
def clean_redis() -> Iterator[None]:
    """An empty cache and no locks; the pause after a failure of Redis is reset."""
    _clean()
    yield
    _clean()


@pytest.fixture(autouse=True)
def reconnected_probes() -> Iterator[None]:
    """The connections of probes are closed after a test that makes the database unavailable."""
    yield
    health.close_connection()


@pytest.fixture(autouse=True)
def quiet_outbox(clean_redis: None, settings: Settings) -> None:
    """Messages are not delivered, so that tests can read them. Tests of the outbox enable the delivery.

    Depends on `clean_redis`, so that the settings of a test are restored before Redis is cleaned.
    """
    settings.OUTBOX_DISPATCH_IN_WEB = False


@pytest.fixture
def own_redis(tmp_path: Path, settings: Settings) -> Iterator[Redis]:
    """A Redis server for one test, used for cache and locks, which the test may kill or pause."""
    server = Redis(tmp_path / "redis", logs=tmp_path, durable=False)
    server.start()
    locations = {"default": server.database_url(0), "locks": server.database_url(1)}
    timeouts = {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5}
    settings.CACHES = {
        alias: {**cache, "LOCATION": locations[alias], "OPTIONS": {**cache["OPTIONS"], **timeouts}}
        for alias, cache in project_settings.CACHES.items()
    }
    yield server
    if server.child.running:
        resume(server)
    server.child.stop()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses connections and is not used by others meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def api() -> Callable[..., Shopper]:
    """Creates clients: `api(user)`, `api(user, language="ko")`, or `api()` for an anonymous one."""
    return Shopper


@pytest.fixture
def user() -> User:
    """A customer with 50,000 won. Tests that need another one define a fixture of the same name."""
    return UserFactory(balance=50_000)


@pytest.fixture
def pen() -> Product:
    """Price 1,200 won; stock 10."""
    return ProductFactory(name="Pen", price=1_200, stock=10)


@pytest.fixture
def chair() -> Product:
    """Price 15,000 won; stock 5."""
    return ProductFactory(name="Chair", price=15_000, stock=5)


@pytest.fixture
def stranger() -> Shopper:
    """A client without a token."""
    return Shopper()


@pytest.fixture
def application() -> Iterator[Callable[..., Iterable[bytes]]]:
    """The WSGI application of the web process, on the test's database connection.

    Django stores the script prefix of a thread's last request, and the test client does not set one.
    """
    yield ReadyPages(ShopHandler())
    clear_script_prefix()


def _clean() -> None:
    rate_limit.forget_everything()
    ready_pages.forget()
    for cache in (PRODUCT_LIST, POPULAR):
        cache.forget_lease()
    for service in (redis_services.cache, redis_services.locks):
        service.forget_pause()
        wait_until(partial(_flushed, service.alias), "Redis to be emptied")


def _flushed(alias: str) -> bool:
    try:
        get_redis_connection(alias).flushdb()
    except redis_errors.TimeoutError:
        # Tolerates a slow machine. A server that is down is not tolerated.
        return False
    return True
