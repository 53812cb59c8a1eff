"""What all races have in common."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def patient_queues(settings: Settings) -> None:
    """On a slow machine a crowd queues longer than a customer would wait; that is not what is tested here."""
    settings.LOCK_WAIT_SECONDS = 20.0
