"""Fixtures for tests of the gateway, which are skipped without nginx."""

from collections.abc import Iterator

import pytest

from commerce.embedded.errors import NginxNotInstalled
from commerce.embedded.gateway import nginx
from tests.gateway.limits import NO_LIMITS
from tests.gateway.nginx import Address, gateway_before
from tests.gateway.recorder import Recorder, recorder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest passes all tests of the run to every conftest."""
    try:
        nginx()
    except NginxNotInstalled as missing:
        skipped = pytest.mark.skip(reason=f"THE GATEWAY IS NOT TESTED: {missing}")
        for item in items:
            if "tests/gateway/" in item.nodeid:
                item.add_marker(skipped)


@pytest.fixture
def one() -> Iterator[Recorder]:
    with recorder() as record:
        yield record


@pytest.fixture
def two() -> Iterator[Recorder]:
    with recorder() as record:
        yield record


@pytest.fixture
def gateway(one: Recorder) -> Iterator[Address]:
    """A gateway without limits in front of one recording server."""
    with gateway_before(one.port, files=NO_LIMITS) as address:
        yield address
