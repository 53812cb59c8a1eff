"""The limits, which the other tests run without."""

import pytest
from pytest_django import Settings

HOURLY = 1 / 3_600
"""So slow that nothing comes back while a test runs."""


@pytest.fixture
def few_writes(settings: Settings) -> None:
    """Three writes and three coupon issues in one go, and another one after an hour."""
    settings.WRITES_PER_SECOND = settings.COUPON_ISSUES_PER_SECOND = HOURLY
    settings.WRITES_AT_ONCE = settings.COUPON_ISSUES_AT_ONCE = 3


@pytest.fixture
def few_logins(settings: Settings) -> None:
    """Three failures for one name from one address, six from anywhere, and ten attempts from one address."""
    settings.LOGIN_FAILURES_PER_MINUTE = 3
    settings.LOGIN_FAILURES_PER_HOUR = 6
    settings.LOGINS_PER_MINUTE = 10
