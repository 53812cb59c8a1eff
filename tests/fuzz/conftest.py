"""Fixtures for tests with a real web server."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.fuzz.web_server import WebServer, web_server


@pytest.fixture(scope="module")
def web(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[WebServer]:
    """One server for a whole file: no request may require a new one afterwards."""
    with django_db_blocker.unblock(), web_server(WRITES_PER_SECOND="0", WEB_REQUEST_SECONDS="3") as server:
        yield server
