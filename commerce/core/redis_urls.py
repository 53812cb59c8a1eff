"""Parses the URLs of the two Redis services into options of django-redis. Does not open connections."""

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
    """The address of one Redis database.

    Attributes:
        location: a URL for redis-py; with Sentinel its host is the name of the service.
        sentinels: host and port of each; empty without Sentinel.
    """

    location: str
    sentinels: tuple[tuple[str, int], ...] = ()

    def options(self) -> Mapping[str, Any]:
        """The OPTIONS of django-redis, without the timeouts."""
        if not self.sentinels:
            return {}
        return {
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "SENTINELS": list(self.sentinels),
        }


def read_address(name: str, url: str) -> Address:
    """Parse `url`, the value of the setting `name`.

    Its form is redis://host:port/0, rediss://…, unix:///path?db=0 or
    redis+sentinel://:password@host:port,host:port/service/0. Raises ImproperlyConfigured; the message does not contain
    the value.
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
    """The default for locks: database 1 of the same server, or 0 if `url` names database 1."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        # `read_address` raises the error.
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
    """The number of the database; as in redis-py, the query takes precedence over the path."""
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
