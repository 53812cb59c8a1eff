"""The addresses of the two Redis services.

Owns what an address means to django-redis; never opens a connection.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured

_SENTINEL = "redis+sentinel"
_SCHEMES = ("redis", "rediss", "unix", _SENTINEL)
_SENTINEL_PORT = 26_379
_NUMBER = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True)
class Address:
    """Where one Redis database is.

    Attributes:
        location: as redis-py reads it; with Sentinel its host is the name of the service.
        sentinels: host and port of each; empty without Sentinel.
    """

    location: str
    sentinels: tuple[tuple[str, int], ...] = ()

    def options(self) -> Mapping[str, Any]:
        """What the OPTIONS of django-redis need besides the time limits."""
        if not self.sentinels:
            return {}
        return {
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "SENTINELS": list(self.sentinels),
        }


def read_address(name: str, url: str) -> Address:
    """The address behind the value of the setting `name`.

    Of the form redis://host:port/0, rediss://…, unix:///path?db=0 or
    redis+sentinel://:password@host:port,host:port/service/0. Raises ImproperlyConfigured, without the value.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        message = f"{name} is not of the form redis://, rediss://, unix:// or redis+sentinel://."
        if "cluster" in parts.scheme:
            message = (
                f"{name} names a Redis Cluster, on which the shop does not run. Use Redis Sentinel, or one server."
            )
        raise ImproperlyConfigured(message)
    _database(name, parts)
    if parts.scheme != _SENTINEL:
        return Address(url)
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    sentinels = tuple(_sentinel(name, host) for host in hosts.split(",") if host)
    if not (service and sentinels):
        raise ImproperlyConfigured(f"{name} is not of the form redis+sentinel://host:port,host:port/service/0.")
    credentials = f"{login}@" if login else ""
    return Address(f"redis://{credentials}{service}/{database or 0}", sentinels)


def beside(name: str, url: str) -> str:
    """The same server's database 1, or 0 where `url` names database 1 itself: where locks are kept by default."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        # Refused with its sentence by `read_address`.
        return url
    number = 0 if _database(name, parts) == 1 else 1
    query = {key: values for key, values in parse_qs(parts.query, keep_blank_values=True).items() if key != "db"}
    if parts.scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}?{urlencode({**query, 'db': number}, doseq=True)}"
    path = f"/{number}"
    if parts.scheme == _SENTINEL:
        path = f"/{parts.path.strip('/').partition('/')[0]}/{number}"
    return parts._replace(path=path, query=urlencode(query, doseq=True)).geturl()


def _database(name: str, parts: SplitResult) -> int:
    """The number of the database; redis-py prefers the one in the query."""
    path = parts.path.strip("/")
    if parts.scheme == _SENTINEL:
        path = path.partition("/")[2]
    number = parse_qs(parts.query).get("db", ["" if parts.scheme == "unix" else path])[-1]
    if not number:
        return 0
    if not _NUMBER.fullmatch(number):
        raise ImproperlyConfigured(f"{name} does not end with the number of a database, such as /0.")
    return int(number)


def _sentinel(name: str, host: str) -> tuple[str, int]:
    address, separator, port = host.rpartition(":")
    if not separator:
        return host, _SENTINEL_PORT
    if not port.isdecimal():
        raise ImproperlyConfigured(f"{name} has a Sentinel whose port is no number.")
    return address, int(port)
