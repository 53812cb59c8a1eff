"""An order's response and event contain what was ordered; and the discounts of coupons."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from commerce.outbox.publish import event_id
from coupons.rules import Discount
from orders.events import order_cancelled, order_completed
from orders.models import Order, OrderStatus
from orders.rules import Line, total_of
from products.rules import HIGHEST_PRICE_WON
from stats.errors import UnreadableEvent
from stats.events import read_order_event
from tests.properties.model_shop import Terms

WON = st.integers(1, 2**53)
DISCOUNTS = st.tuples(st.just("FIXED"), WON) | st.tuples(st.just("PERCENT"), st.integers(1, 100))
LINES = st.lists(
    st.builds(
        Line,
        product_id=st.integers(1, 2**63 - 1),
        product_name=st.text(max_size=20),
        unit_price=st.integers(0, HIGHEST_PRICE_WON),
        quantity=st.integers(1, 1_000),
    ),
    min_size=1,
    max_size=100,
    unique_by=lambda line: line.product_id,
)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds
ZONES = st.sampled_from(["Asia/Seoul", "UTC", "America/Santiago", "Pacific/Apia"]).map(ZoneInfo)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=8,
)


@given(discount=DISCOUNTS, cap=st.none() | WON, total=st.integers(0, 10**17))
def test_payment_and_discount_add_up_to_the_total(discount: tuple[str, int], cap: int | None, total: int) -> None:
    """Computed independently with decimals; a maximum only applies to percentages."""
    off = Discount(*discount, cap).off(total)
    paid = total - off
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert off == Terms("", *discount, cap, 0, 1, moment, moment, moment).off(total)
    assert 0 <= paid <= total
    assert off + paid == total
    if discount[0] == "FIXED":
        assert off == min(discount[1], total)


@given(lines=LINES, placed_at=MOMENTS, cancelled_at=MOMENTS, zone=ZONES)
def test_statistics_read_the_units_and_the_day_from_an_event(
    lines: list[Line], placed_at: datetime, cancelled_at: datetime, zone: ZoneInfo
) -> None:
    total = total_of(lines)
    order = Order(
        id=7,
        user_id=1,
        status=OrderStatus.CANCELLED,
        total_amount=total,
        discount_amount=0,
        paid_amount=total,
        created_at=placed_at,
        completed_at=placed_at,
        cancelled_at=cancelled_at,
    )
    order.lines = lines
    with mock.patch.object(timezone, "get_default_timezone", return_value=zone):
        placed = read_order_event(order_completed(order).as_cloud_event())
        taken_back = read_order_event(order_cancelled(order).as_cloud_event())
    assert placed.units == {line.product_id: line.quantity for line in lines}
    assert taken_back.units == {line.product_id: -line.quantity for line in lines}
    assert placed.day == taken_back.day == placed_at.astimezone(zone).date()
    assert placed.event_id == event_id("order-completed", 7, placed_at)
    assert taken_back.event_id == event_id("order-cancelled", 7, cancelled_at)


@given(
    event=ANY_JSON | st.fixed_dictionaries({"type": st.just("order-completed"), "id": st.just("x"), "data": ANY_JSON})
)
def test_arbitrary_json_is_refused(event: Any) -> None:
    try:
        read_order_event(json.dumps(event).encode())
    except UnreadableEvent:
        return
    raise AssertionError(f"{event!r} was read as an order")
