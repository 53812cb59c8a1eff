"""F20: the shop's clock passes midnight, is set back, and opens and closes a coupon while clients request it."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from commerce.core import sql
from coupons.rules import HeldCoupon, LimitedCoupon
from stats import services as stats_services
from stats.events import OrderEvent, read_order_event
from tests.factories import CouponFactory
from tests.faults.caller import CLIENT_SECONDS, Caller
from tests.faults.entry import FOLDER
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call, History
from tests.faults.shop import Variant

_FILE = "clock"
_WOUND = "tests.faults.f20_clock.wind"
_BEFORE_MIDNIGHT = timedelta(seconds=1.2)
_OPEN_SECONDS = 1.0
_WAITING = 12
_PAUSE_SECONDS = 0.02
_DOUBT_SECONDS = 0.1
"""The clock may be set this much later than intended."""
_WRONG_DAYS = """
    SELECT id, ordered_date, created_at FROM "order" WHERE ordered_date <> (created_at AT TIME ZONE %s)::date
"""


class _Clock(Fault):
    """All processes of the shop use the same adjusted clock; PostgreSQL and the clients use the real one."""

    gap_seconds = (0.1, 0.5)
    most_shots = 50

    def variant(self) -> Variant:
        return Variant(patches=(_WOUND,))


class OrdersOverMidnight(_Clock):
    """Every shot sets the clock back by an hour, then to just before midnight, and lets it pass."""

    number = "F20a"
    title = "orders over midnight, clock set back"
    protection = "an order counts on the day that it was placed"
    control_shows = "statistics_are_counted_orders"
    hold_seconds = (2.5, 2.5)

    def control(self) -> Variant:
        return Variant(patches=(_WOUND, "tests.faults.f20_clock.count_when_it_comes"))

    def strike(self, run: Run) -> str:
        midnight = nearest_midnight()
        set_clock(run, midnight - timedelta(hours=1))
        run.pause(0.3)
        set_clock(run, midnight - _BEFORE_MIDNIGHT)
        return f"clock set to {_BEFORE_MIDNIGHT.total_seconds()} s before {midnight.isoformat()}"

    def judge(self, run: Run) -> list[str]:
        zone = timezone.get_current_timezone_name()
        found = [
            f"order {order_id} of {ordered_date} was placed at {created_at.isoformat()}"
            for order_id, ordered_date, created_at in sql.fetch_all(_WRONG_DAYS, [zone])
        ]
        days = sql.fetch_all(
            'SELECT ordered_date, count(*) FROM "order" WHERE user_id = ANY(%s) GROUP BY 1', [run.scene.users]
        )
        if len(days) < 2:
            found.append(f"NotFired: the clock passed midnight, and all orders are of one day: {days}")
        return found


@dataclass(frozen=True)
class _Window:
    """The issue period of a coupon, and its position on the harness's monotonic clock."""

    history: History
    coupon_id: int
    opens_at: float
    closes_at: float


class CouponOpensAndCloses(_Clock):
    """Some clients request it from before its start until they have one; the others send one request around its end."""

    number = "F20b"
    title = "a coupon's window opens and closes"
    protection = "who gets a unit is decided by the coupon's window"
    control_shows = "got a unit outside the window"

    def __init__(self) -> None:
        self._windows: list[_Window] = []

    def control(self) -> Variant:
        return Variant(patches=(_WOUND, "tests.faults.f20_clock.leave_the_window_open"))

    def strike(self, run: Run) -> str:
        opens = nearest_midnight()
        lead = timedelta(seconds=_OPEN_SECONDS / 2)
        closes = opens + timedelta(seconds=_OPEN_SECONDS)
        coupon = CouponFactory(
            total_quantity=len(run.scene.users),
            issue_starts_at=opens,
            issue_ends_at=closes,
            valid_until=closes + timedelta(days=7),
        )
        opens_at = time.monotonic() + lead.total_seconds()
        set_clock(run, opens - lead)
        window = _Window(run.history, coupon.pk, opens_at, opens_at + _OPEN_SECONDS)
        self._windows.append(window)
        threads = [
            threading.Thread(target=self._ask, args=(run, window, number)) for number in range(len(run.scene.users))
        ]
        for thread in threads:
            thread.start()
        run.pause(2 * _OPEN_SECONDS)
        for thread in threads:
            thread.join(CLIENT_SECONDS + 3)
        calls = _calls_for(window, run.history.calls)
        issued = sum(call.status == 200 for call in calls)
        outside = sum(_is_before(call, window) or _is_after(call, window) for call in calls)
        if not issued or not outside:
            raise NotFired(f"{issued} units were issued, and {outside} calls came before or after the window")
        return f"{issued} units issued, {outside} calls before or after the window"

    def judge(self, run: Run) -> list[str]:
        return [
            sentence
            for window in self._windows
            if window.history is run.history
            for call in _calls_for(window, run.history.calls)
            for sentence in _wrong_by_the_clock(call, window)
        ]

    def _ask(self, run: Run, window: _Window, number: int) -> None:
        caller = Caller(run.shop.port, run.history, name=f"window-{number}")
        user_id = run.scene.users[number]
        asks_until = window.closes_at
        if number >= _WAITING:
            # One after the other, from the middle of the period until as long after its end.
            time.sleep(max(0.0, window.opens_at + _OPEN_SECONDS / 2 + number * _PAUSE_SECONDS - time.monotonic()))
            asks_until = 0.0
        try:
            for attempt in range(1, 1_000):
                call = caller.call(
                    "issue",
                    "POST",
                    f"/api/coupons/{window.coupon_id}/issue",
                    user_id=user_id,
                    token=run.scene.tokens[user_id],
                    key=f"window-{window.coupon_id}-{number}-{attempt}",
                )
                if call.status == 200 or time.monotonic() > asks_until:
                    return
                time.sleep(_PAUSE_SECONDS)
        finally:
            caller.close()


def _calls_for(window: _Window, calls: Sequence[Call]) -> list[Call]:
    """The calls for the coupon that were decided, without replays."""
    path = f"/api/coupons/{window.coupon_id}/issue"
    return [call for call in calls if call.path == path and call.is_final and not call.replayed]


def _is_before(call: Call, window: _Window) -> bool:
    """Whether it had ended before the period began. A call is decided at some time between its start and its end."""
    return call.answered_at is not None and call.answered_at < window.opens_at


def _is_after(call: Call, window: _Window) -> bool:
    return call.sent_at >= window.closes_at + _DOUBT_SECONDS


def _wrong_by_the_clock(call: Call, window: _Window) -> list[str]:
    if call.status == 200 and (_is_before(call, window) or _is_after(call, window)):
        return [f"{call} got a unit outside the window"]
    answered_at = call.answered_at or time.monotonic()
    is_inside = call.sent_at >= window.opens_at + _DOUBT_SECONDS and answered_at < window.closes_at
    if call.code == "coupon_not_open" and is_inside:
        return [f"{call} was refused inside the window"]
    return []


def nearest_midnight() -> datetime:
    """The local midnight that is less than half a day away, so that periods of a day do not end before it."""
    noon_before = timezone.localtime() - timedelta(hours=12)
    return (noon_before + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def set_clock(run: Run, now: datetime) -> None:
    """Set the shop's clock to `now`, from which it continues."""
    ahead_seconds = (now - datetime.now(UTC)).total_seconds()
    written = run.shop.points.folder / f"{_FILE}.written"
    written.write_text(str(ahead_seconds))
    written.rename(run.shop.points.folder / _FILE)


def wind() -> None:
    """The process's clock is set by the harness, and correct until then."""
    now = timezone.now
    path = Path(os.environ[FOLDER]) / _FILE

    def wound() -> datetime:
        try:
            return now() + timedelta(seconds=float(path.read_text()))
        except FileNotFoundError:
            return now()

    timezone.now = wound


def count_when_it_comes() -> None:
    """An order's units are counted on the day on which its event arrives."""

    def read(payload: bytes) -> OrderEvent:
        return replace(read_order_event(payload), day=timezone.localdate())

    stats_services.read_order_event = read  # type: ignore[attr-defined]  # that is the point


def leave_the_window_open() -> None:
    """A unit is issued at any time."""
    issue_to = LimitedCoupon.issue_to

    def at_its_beginning(self: LimitedCoupon, user_id: int, *, now: datetime, **more: Any) -> HeldCoupon:
        return issue_to(self, user_id, now=self.issue_starts_at, **more)

    LimitedCoupon.issue_to = at_its_beginning  # type: ignore[method-assign]  # that is the point
