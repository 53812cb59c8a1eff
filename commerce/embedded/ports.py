"""TCP ports of this machine: finds free ports and checks whether a port is open.

Ports of the kernel's ephemeral range are not used.
"""

import random
import socket
from pathlib import Path

from commerce.embedded.errors import PortTaken

LOOPBACK = "127.0.0.1"
_TRIES = 200
_FIRST_PORT = 15_000
_LAST_PORT = 32_000


def reserve(host: str, port: int) -> socket.socket:
    """Reserve an address without listening on it, until the socket is closed. Clients are refused meanwhile.

    Port 0 lets the kernel choose one.

    Raises:
        PortTaken: another process uses the address.
    """
    try:
        return _bound(host, port, beside_old_connections=False)
    except OSError:
        # For a minute after a stop, old connections of the port are in TIME_WAIT. SO_REUSEADDR allows to bind it
        # anyway.
        try:
            return _bound(host, port, beside_old_connections=True)
        except OSError as error:
            raise PortTaken(host, port) from error


def free_port() -> int:
    """A loopback port that is free, and that outgoing connections do not use either.

    A server that has crashed must be able to use its port again after a restart, so the kernel's ephemeral range is
    avoided.

    Raises:
        PortTaken: no free port was found in 200 attempts.
    """
    last = min(_LAST_PORT, _first_outgoing_port() - 1)
    candidates = range(_FIRST_PORT, last) if last > _FIRST_PORT + _TRIES else range(_FIRST_PORT, 60_000)
    port = 0
    for _ in range(_TRIES):
        port = random.choice(candidates)  # noqa: S311 - a port is no secret
        try:
            reserve(LOOPBACK, port).close()
        except PortTaken:
            continue
        return port
    raise PortTaken(LOOPBACK, port)


def accepts_connections(host: str, port: int) -> bool:
    """Whether something listens on the address; waits up to half a second."""
    try:
        socket.create_connection((host, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LAST_PORT + 1


def _bound(host: str, port: int, *, beside_old_connections: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    # Without this option the kernel gives the port to no other socket, even if this one does not listen.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(beside_old_connections))
    try:
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    return holder
