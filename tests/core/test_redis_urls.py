"""Parsing of Redis URLs, and the default database of the locks."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from commerce.core.redis_urls import Address, beside, read_address


@pytest.mark.parametrize(
    ("cache", "locks"),
    [
        ("redis://h:6379", "redis://h:6379/1"),
        ("redis://h:6379/", "redis://h:6379/1"),
        ("redis://h:6379/0", "redis://h:6379/1"),
        ("redis://h:6379/7", "redis://h:6379/1"),
        ("redis://h:6379/1", "redis://h:6379/0"),
        ("rediss://:p%2Fw@h:6380/0?ssl_cert_reqs=none", "rediss://:p%2Fw@h:6380/1?ssl_cert_reqs=none"),
        ("redis://h:6379?db=3&protocol=3", "redis://h:6379/1?protocol=3"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1"),
        ("unix://:pw@/run/redis.sock?db=1", "unix://:pw@/run/redis.sock?db=0"),
        ("redis+sentinel://:pw@a:1,b:2/shop", "redis+sentinel://:pw@a:1,b:2/shop/1"),
        ("redis+sentinel://a/shop/1", "redis+sentinel://a/shop/0"),
    ],
)
def test_locks_are_kept_beside_the_cache(cache: str, locks: str) -> None:
    assert beside("REDIS_URL", cache) == locks


def test_a_url_of_one_server_is_used_unchanged() -> None:
    assert read_address("REDIS_URL", "redis://h:6379/3?protocol=3") == Address("redis://h:6379/3?protocol=3")
    assert read_address("REDIS_URL", "redis://h:6379/3").options() == {}


def test_a_sentinel_url_has_a_service_name() -> None:
    address = read_address("REDIS_URL", "redis+sentinel://me:pw@a:26380,b/shop/3")
    assert address == Address("redis://me:pw@shop/3", (("a", 26_380), ("b", 26_379)))
    assert address.options()["SENTINELS"] == [("a", 26_380), ("b", 26_379)]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis+cluster://:secret@a:7000,b:7000", "names a Redis Cluster, on which the shop does not run"),
        ("http://secret@h", "is not of the form redis://"),
        ("redis://:secret@h/zero", "does not end with the number of a database"),
        ("redis+sentinel://:secret@a:26379", "is not of the form redis+sentinel://"),
        ("redis+sentinel://:secret@a:x/shop", "has a Sentinel whose port is no number"),
    ],
)
def test_other_urls_are_refused_without_printing_secrets(url: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)) as caught:
        read_address("REDIS_URL", url)
    assert "secret" not in str(caught.value)


def test_a_url_of_another_kind_is_returned_as_it_is() -> None:
    """So that its reader refuses it with its own sentence."""
    assert beside("REDIS_URL", "http://h/1") == "http://h/1"
