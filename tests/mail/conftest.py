"""Fixtures of the e-mail tests: a mail server and the settings for it."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from commerce.embedded.ports import LOOPBACK
from commerce.outbox.sinks.base import sink_of
from tests.mail.mailbox import Mailbox, mailbox_at_work
from tests.together import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def own_sinks() -> Iterator[None]:
    """Each test starts with a closed circuit breaker."""
    sink_of.cache_clear()
    yield
    sink_of.cache_clear()


@pytest.fixture(autouse=True)
def switched_on(settings: Settings) -> None:
    """Enable e-mail; there is no server unless a test uses `mailbox`."""
    settings.EMAIL_HOST, settings.EMAIL_PORT = LOOPBACK, 1
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.DEFAULT_FROM_EMAIL = "Shop <orders@shop.example>"
    settings.EMAIL_TIMEOUT = PATIENCE_SECONDS


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    with mailbox_at_work() as mailbox:
        settings.EMAIL_PORT = mailbox.port
        yield mailbox
