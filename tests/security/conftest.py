"""Fixtures with rate limits, which are off in other tests."""

import pytest
from pytest_django import Settings

HOURLY = 1 / 3_600
"""A rate so low that no use becomes available during a test."""


@pytest.fixture
def few_writes(settings: Settings) -> None:
    """A burst of three writes and three coupon issues, and one more per hour."""
    settings.WRITES_PER_SECOND = settings.COUPON_ISSUES_PER_SECOND = HOURLY
    settings.WRITES_AT_ONCE = settings.COUPON_ISSUES_AT_ONCE = 3


@pytest.fixture
def few_logins(settings: Settings) -> None:
    """Three failures for one name from one address, six from all addresses, ten attempts from one address."""
    settings.LOGIN_FAILURES_PER_MINUTE = 3
    settings.LOGIN_FAILURES_PER_HOUR = 6
    settings.LOGINS_PER_MINUTE = 10
