"""The fast path to Redis: each command is sent once, replies are not mixed up, broken connections are replaced."""

import os
from functools import partial

import pytest
from pytest_django import Settings

from commerce.core import redis_services
from commerce.core.redis_services import RedisUnavailable
from commerce.embedded.redis_server import Redis
from tests.breaking import kill, pause, resume
from tests.together import together

ECHO = "return {KEYS[1], ARGV[1]}"
CROWD = 12


def connections() -> list[object]:
    """The idle connections."""
    return list(redis_services.cache._connections._idle)


def test_values_come_in_the_order_of_their_keys() -> None:
    redis_services.cache.client.set("one", b"1")
    redis_services.cache.client.set("two", b"\x00\xff")
    assert redis_services.cache.read("two", "none", "one") == [b"\x00\xff", None, b"1"]


def test_a_script_that_redis_does_not_know_is_sent_in_full() -> None:
    for _ in range(2):
        redis_services.cache.client.script_flush()
        assert redis_services.cache.run_script(ECHO, ["key"], [7]) == [b"key", b"7"]
    assert redis_services.cache.run_script(ECHO, ["key"], [b"\xff"]) == [b"key", b"\xff"]


def test_a_connection_is_used_again() -> None:
    redis_services.cache.read("key")
    first = connections()
    redis_services.cache.run_script(ECHO, ["key"], [1])
    assert connections() == first


def test_concurrent_threads_get_their_own_replies() -> None:
    def ask(number: int) -> None:
        answers = [redis_services.cache.run_script(ECHO, [f"key-{number}"], [turn]) for turn in range(50)]
        assert answers == [[b"key-%d" % number, b"%d" % turn] for turn in range(50)]

    together([partial(ask, number) for number in range(CROWD)])


def test_a_script_that_fails_is_a_failure_of_redis(settings: Settings) -> None:
    settings.REDIS_PAUSE_SECONDS = 0.0
    with pytest.raises(RedisUnavailable):
        redis_services.cache.run_script("return redis.call('incr', KEYS[1], 1)", ["key"], [])
    assert redis_services.cache.read("key") == [None]


def test_a_restarted_redis_causes_no_failure(own_redis: Redis) -> None:
    redis_services.cache.read("key")
    kill(own_redis)
    own_redis.start()
    assert redis_services.cache.read("key") == [None]


def test_a_late_reply_is_never_mixed_up(own_redis: Redis, settings: Settings) -> None:
    settings.REDIS_PAUSE_SECONDS = 0.0
    redis_services.cache.run_script(ECHO, ["key"], ["early"])
    pause(own_redis)
    with pytest.raises(RedisUnavailable):
        redis_services.cache.run_script(ECHO, ["key"], ["late"])
    resume(own_redis)
    assert redis_services.cache.run_script(ECHO, ["key"], ["next"]) == [b"key", b"next"]


def test_failures_use_up_no_connections(own_redis: Redis, settings: Settings) -> None:
    settings.REDIS_PAUSE_SECONDS = 0.0
    kill(own_redis)
    for _ in range(600):
        with pytest.raises(RedisUnavailable):
            redis_services.cache.read("key")
    own_redis.start()
    assert redis_services.cache.read("key") == [None]


def test_a_forked_process_opens_its_own_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    redis_services.cache.read("key")
    parents = connections()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    redis_services.cache.read("key")
    [childs] = connections()
    assert childs not in parents


def test_connections_to_a_server_that_became_a_replica_are_dropped(own_redis: Redis, settings: Settings) -> None:
    """After a failover behind the same host name, all idle connections lead to the old primary."""
    settings.REDIS_PAUSE_SECONDS = 0.0
    kept = [redis_services.locks._connections.take() for _ in range(3)]
    for each in kept:
        redis_services.locks._connections.give_back(each)
    redis_services.locks.client.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(RedisUnavailable):
            redis_services.locks.run_script("return redis.call('set', KEYS[1], 1)", ["a"], [])
        assert redis_services.locks._connections._idle == []
        assert [each._sock for each in kept] == [None] * 3
        with pytest.raises(RedisUnavailable):
            redis_services.locks.call(lambda client: client.set("a", 1))
        assert {each._sock for each in redis_services.locks.client.connection_pool._available_connections} == {None}
    finally:
        redis_services.locks.client.replicaof("NO", "ONE")
