"""Faults of servers by signals, and growth of metrics. Only for servers that the test has started itself."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import REGISTRY

from commerce.core.metrics import add_noted
from commerce.embedded.redis_server import Redis


def pause(server: Redis) -> None:
    """The server neither answers nor refuses connections, like behind a network that drops packets."""
    os.kill(_pid(server), signal.SIGSTOP)


def resume(server: Redis) -> None:
    """The server continues, including the commands that were sent meanwhile."""
    os.kill(_pid(server), signal.SIGCONT)


def kill(server: Redis) -> None:
    """The server is dead and its port refuses connections."""
    os.kill(_pid(server), signal.SIGKILL)
    server.child.stop()


def _pid(server: Redis) -> int:
    pid = server.child.pid
    assert pid is not None
    return pid


def as_text(key: bytes | str) -> str:
    """The name of a key as text, whether the client returns bytes or text."""
    return key.decode() if isinstance(key, bytes) else key


@dataclass
class Growth:
    """The growth of a counter since the start of the block."""

    by: float = 0.0


@contextmanager
def growth_of(counter: str, **labels: str) -> Iterator[Growth]:
    """Watch one Prometheus counter; read `by` after the block."""
    growth = Growth()
    add_noted()
    before = REGISTRY.get_sample_value(counter, labels) or 0.0
    yield growth
    add_noted()
    growth.by = (REGISTRY.get_sample_value(counter, labels) or 0.0) - before
