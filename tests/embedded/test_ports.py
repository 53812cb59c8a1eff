"""Free ports are found and reserved, and used ones are detected."""

import socket

import pytest

from commerce.embedded.errors import PortTaken
from commerce.embedded.ports import LOOPBACK, accepts_connections, free_port, reserve


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()

    with socket.create_server((LOOPBACK, port)):
        assert accepts_connections(LOOPBACK, port)
    assert not accepts_connections(LOOPBACK, port)


def test_a_port_somebody_listens_on_is_refused_with_a_sentence() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"^127\.0\.0\.1:{port} is already in use\. .*PORT={port + 1}$"):
            reserve(LOOPBACK, port)


def test_a_port_taken_on_every_address_is_refused_too() -> None:
    with socket.create_server(("", 0)) as server, pytest.raises(PortTaken):
        reserve(LOOPBACK, server.getsockname()[1])


def test_a_held_port_refuses_clients_and_other_servers() -> None:
    with reserve(LOOPBACK, 0) as holder:
        port = holder.getsockname()[1]

        assert not accepts_connections(LOOPBACK, port)
        with pytest.raises(OSError, match="in use"):
            socket.create_server((LOOPBACK, port))
    with socket.create_server((LOOPBACK, port)):
        assert accepts_connections(LOOPBACK, port)
