"""A time belongs to one day of the shop, in any time zone and also when its clocks change."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from balances.selectors import ledger_of
from balances.services import charge_balance
from commerce.idempotency.commit import Idempotency
from tests.factories import UserFactory
from tests.properties.clock import Clock, stopped_at

pytestmark = pytest.mark.django_db(transaction=True)

# In Santiago and Beirut the clocks change at midnight, in Havana just after it; Apia skipped a whole day in 2011.
ZONES = ["Asia/Seoul", "America/Santiago", "America/Havana", "Asia/Beirut", "Pacific/Apia", "Africa/Casablanca", "UTC"]


@cache
def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours (UTC) of the year in which the zone's clocks change, and its first one."""
    begins_at = datetime(year, 1, 1, tzinfo=UTC)
    hours = [begins_at + timedelta(hours=hour) for hour in range(366 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [
        begins_at,
        *(hour for hour, (before, after) in zip(hours[1:], pairwise(offsets), strict=True) if before != after),
    ]


@st.composite
def moments(draw: st.DrawFn) -> tuple[ZoneInfo, list[datetime]]:
    """A zone, and times in it less than two days from a clock change."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    change = draw(st.sampled_from(changes(zone, draw(st.sampled_from([2011, 2019, 2025])))))
    near = st.integers(-8, 8).map(lambda quarters: timedelta(minutes=15 * quarters))
    far = st.floats(-47.0, 47.0).map(lambda hours: timedelta(hours=hours))
    return zone, [change + away for away in draw(st.lists(near | far, min_size=1, max_size=4))]


def test_every_ledger_entry_is_on_the_list_of_its_day_and_on_no_other() -> None:
    @given(where_and_when=moments())
    def search(where_and_when: tuple[ZoneInfo, list[datetime]]) -> None:
        zone, charged_at = where_and_when
        user = UserFactory()
        with timezone.override(zone), stopped_at(charged_at[0]) as clock:
            for moment in charged_at:
                clock.now = moment
                charge_balance(user_id=user.pk, amount=1, idempotency=Idempotency.none())
            days = {moment.astimezone(zone).date() for moment in charged_at}
            for day in {day + timedelta(days=more) for day in days for more in (-1, 0, 1)}:
                listed = ledger_of(user.pk, entry_type=None, from_date=day, to_date=day)
                assert sorted(entry.created_at for entry in listed) == sorted(
                    moment for moment in charged_at if moment.astimezone(zone).date() == day
                )

    search()


@given(where_and_when=moments())
def test_midnight_is_the_first_moment_of_the_next_day(where_and_when: tuple[ZoneInfo, list[datetime]]) -> None:
    """The clock of these tests, on which the others depend."""
    zone, (now, *_) = where_and_when
    with timezone.override(zone):
        midnight = Clock(now).next_midnight()
        today = timezone.localdate(now)
        assert timezone.localdate(midnight) > today
        assert timezone.localdate(midnight - timedelta(microseconds=1)) == today
