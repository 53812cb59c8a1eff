"""The web process as the server runs it."""

import warnings
from collections.abc import Callable, Iterable

import pytest


@pytest.fixture
def application(db: None) -> Callable[..., Iterable[bytes]]:
    """`commerce.wsgi`, imported once the database of the tests is there: it makes its connections at once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No directory at", UserWarning)  # static files are collected for a server
        from commerce import wsgi
    return wsgi.application
