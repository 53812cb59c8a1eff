"""TLS to PostgreSQL and Redis, as in docs/servers.md."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.core.cache import CacheHandler
from django.db import OperationalError, connection
from django.db.utils import ConnectionHandler
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.certificates import AUTHORITY, STRANGER, Certificates
from tests.security.test_key_rotation import read
from tests.security.tls_front import TlsFront, tls_front

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    certificates.issue("server")
    return certificates


@pytest.fixture
def postgresql(certificates: Certificates) -> Iterator[TlsFront]:
    given = connection.settings_dict
    with tls_front(certificates, (given["HOST"], int(given["PORT"])), postgresql=True) as front:
        yield front


@pytest.fixture
def redis(certificates: Certificates) -> Iterator[TlsFront]:
    address = urlsplit(os.environ["REDIS_URL"])
    with tls_front(certificates, (str(address.hostname), address.port or 6379)) as front:
        yield front


def ask_postgresql(front: TlsFront, options: str) -> object:
    given = connection.settings_dict
    login = f"{given['USER']}:{given['PASSWORD']}"
    url = f"postgresql://{login}@127.0.0.1:{front.port}/{given['NAME']}?{options}"
    secure = ConnectionHandler(read({"DATABASE_URL": url})["DATABASES"])["default"]
    try:
        with secure.cursor() as cursor:
            cursor.execute("SELECT 41 + 1")
            return cursor.fetchone()
    finally:
        secure.close()


def test_postgresql_uses_tls(postgresql: TlsFront, certificates: Certificates) -> None:
    found = ask_postgresql(postgresql, f"sslmode=verify-full&sslrootcert={certificates.path(AUTHORITY)}")
    assert (found, postgresql.handshakes) == ((42,), ["TLSv1.3"])


def test_a_postgresql_of_another_authority_is_refused(postgresql: TlsFront, certificates: Certificates) -> None:
    with pytest.raises(OperationalError, match="certificate verify failed"):
        ask_postgresql(postgresql, f"sslmode=verify-full&sslrootcert={certificates.path(STRANGER)}")
    # The control: without verification the same certificate is accepted.
    assert ask_postgresql(postgresql, "sslmode=require") == (42,)


def ask_redis(front: TlsFront, options: str) -> object:
    address = urlsplit(os.environ["REDIS_URL"])
    url = f"rediss://:{address.password}@127.0.0.1:{front.port}{address.path}?{options}"
    cache = CacheHandler(read({"REDIS_URL": url})["CACHES"])["default"]
    cache.set("tls", 42, timeout=60)
    return cache.get("tls")


def test_redis_uses_tls(redis: TlsFront, certificates: Certificates) -> None:
    assert ask_redis(redis, f"ssl_ca_certs={certificates.path(AUTHORITY)}") == 42
    assert set(redis.handshakes) == {"TLSv1.3"}


def test_a_redis_of_another_authority_is_refused(redis: TlsFront, certificates: Certificates) -> None:
    with pytest.raises(RedisConnectionError, match="certificate verify failed"):
        ask_redis(redis, f"ssl_ca_certs={certificates.path(STRANGER)}")
    # The control.
    assert ask_redis(redis, "ssl_cert_reqs=none&ssl_check_hostname=false") == 42
