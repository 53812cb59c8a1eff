"""Fixtures for all race tests."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def patient_queues(settings: Settings) -> None:
    """On a slow machine many simultaneous requests wait longer than a customer would, which is not tested here."""
    settings.LOCK_WAIT_SECONDS = 20.0
