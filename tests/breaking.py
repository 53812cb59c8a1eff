"""Breaking the servers a test runs on, and counting what the shop says about it.

Owns the signals; never touches a server that the test did not start itself.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import REGISTRY

from commerce.core.metrics import add_noted
from commerce.embedded.redis import Redis


def pause(server: Redis) -> None:
    """The server neither answers nor refuses, as behind a network that swallows packets."""
    os.kill(_pid(server), signal.SIGSTOP)


def resume(server: Redis) -> None:
    """The server goes on where it was, with whatever was sent to it meanwhile."""
    os.kill(_pid(server), signal.SIGCONT)


def kill(server: Redis) -> None:
    """The server is gone and its port refuses connections."""
    os.kill(_pid(server), signal.SIGKILL)
    server.child.stop()


def _pid(server: Redis) -> int:
    pid = server.child.pid
    assert pid is not None
    return pid


def as_text(key: bytes | str) -> str:
    """A key as Redis names it, whichever way the client hands it out."""
    return key.decode() if isinstance(key, bytes) else key


@dataclass
class Growth:
    """By how much a counter has grown since the block began."""

    by: float = 0.0


@contextmanager
def growth_of(counter: str, **labels: str) -> Iterator[Growth]:
    """Watches one Prometheus counter; read `by` after the block."""
    growth = Growth()
    add_noted()
    before = REGISTRY.get_sample_value(counter, labels) or 0.0
    yield growth
    add_noted()
    growth.by = (REGISTRY.get_sample_value(counter, labels) or 0.0) - before
