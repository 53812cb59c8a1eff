"""TCP ports of this machine: which are free, which are listened on.

Never hands out a port of the kernel's own range for outgoing connections, and never opens one to the network.
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
    """Hold an address without listening on it, until the socket is closed; clients are refused meanwhile.

    Port 0 lets the kernel choose one.

    Raises:
        PortTaken: another process has the address.
    """
    try:
        return _bound(host, port, beside_old_connections=False)
    except OSError:
        # For a minute after a stop the port's old connections are in TIME_WAIT, and only this way it can be had.
        try:
            return _bound(host, port, beside_old_connections=True)
        except OSError as error:
            raise PortTaken(host, port) from error


def free_port() -> int:
    """A loopback port on which nothing listens, and which outgoing connections will not take either.

    A server that crashed must find its port free when it is started again, so the kernel's range for outgoing
    connections is avoided.

    Raises:
        PortTaken: none was free in 200 tries.
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
    """Whether something listens on the address; waits half a second at most."""
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
    # A socket bound without this option is alone on its port, even while it does not listen.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(beside_old_connections))
    try:
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    return holder
