"""Parsing and validation of order events."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.errors import UnreadableEvent
from stats.events import OrderEvent, read_order_event

FULL_ID = "order-completed:7:1772377800000000"


def order_event(**changes: Any) -> dict[str, Any]:
    """An order event as the contract describes it, with some of its fields changed."""
    return {
        "specversion": "1.0",
        "id": FULL_ID,
        "source": "/commerce",
        "type": "order-completed",
        "time": "2026-03-02T00:10:00+09:00",
        "data": {
            "id": 7,
            "createdAt": "2026-03-02T00:10:00+09:00",
            "items": [{"productId": 1, "quantity": 2}, {"productId": 9, "quantity": 1}],
        },
    } | changes


def with_data(**changes: Any) -> dict[str, Any]:
    event = order_event()
    return event | {"data": event["data"] | changes}


def read(event: Any) -> OrderEvent:
    return read_order_event(json.dumps(event).encode())


def test_a_completed_order_adds_its_units() -> None:
    assert read(order_event()) == OrderEvent(FULL_ID, date(2026, 3, 2), {1: 2, 9: 1}, 7)


def test_a_cancelled_order_subtracts_its_units_on_the_orders_day() -> None:
    full_id = "order-cancelled:7:1773018000000000"
    data = order_event()["data"] | {"cancelledAt": "2026-03-09T10:00:00+09:00"}
    cancelled = order_event(type="order-cancelled", id=full_id, time="2026-03-09T10:00:00+09:00", data=data)
    assert read(cancelled) == OrderEvent(full_id, date(2026, 3, 2), {1: -2, 9: -1}, 7)


def test_a_refund_subtracts_its_units_on_the_orders_day() -> None:
    full_id = "order-refunded:5:1773018000000000"
    data = {
        "id": 5,
        "orderId": 7,
        "items": [{"productId": 9, "quantity": 1, "amount": 900}],
        "createdAt": "2026-03-09T10:00:00+09:00",
        "order": order_event()["data"],
    }
    refund = order_event(type="order-refunded", id=full_id, time="2026-03-09T10:00:00+09:00", data=data)
    assert read(refund) == OrderEvent(full_id, date(2026, 3, 2), {9: -1}, 5)


def test_an_older_event_has_an_id_without_its_time() -> None:
    assert read(order_event(id="order-completed:7")) == read(order_event())


def test_the_day_is_the_written_date_in_any_time_zone() -> None:
    late = with_data(createdAt="2026-03-02T23:59:59.999999-11:00") | {"id": "order-completed:7"}
    assert read(late).day == date(2026, 3, 2)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"{", b"NaN", b'"order-completed"', b"[]", b"null", b"17"])
def test_a_payload_that_is_not_a_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_order_event(payload)


@pytest.mark.parametrize(
    "event",
    [
        order_event(type="balance-changed"),
        order_event(type=["order-completed"]),
        order_event(id=7),
        order_event(id=""),
        order_event(id="order-completed:8"),
        order_event(id="order-completed:7:1772377800000001"),
        with_data(id="7"),
        order_event(data=None),
        order_event(data=[]),
        with_data(createdAt=None),
        with_data(createdAt="yesterday"),
        with_data(createdAt=1_700_000_000),
        with_data(items=None),
        with_data(items=[{"productId": 1}]),
        with_data(items=[{"productId": "1", "quantity": 1}]),
        with_data(items=[{"productId": 1, "quantity": 0}]),
        with_data(items=[{"productId": 1, "quantity": -2}]),
        with_data(items=[{"productId": 1, "quantity": True}]),
        with_data(items=[{"productId": 1, "quantity": 1.5}]),
        with_data(items=[{"productId": 1, "quantity": 1_001}]),
        with_data(items=[{"productId": 1, "quantity": 10**20}]),
        with_data(items=[]),
        with_data(items=[{"productId": 1, "quantity": 1}] * 2),
        with_data(items=[{"productId": number, "quantity": 1} for number in range(1, 102)]),
        with_data(items={"productId": 1, "quantity": 1}),
        with_data(items=[{"productId": 2**63, "quantity": 1}]),
    ],
    ids=repr,
)
def test_an_invalid_event_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvent):
        read(event)


@pytest.mark.parametrize("missing", ["type", "id", "data"])
def test_a_missing_field_is_refused(missing: str) -> None:
    event = order_event()
    del event[missing]
    with pytest.raises(UnreadableEvent):
        read(event)


@given(payload=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_unreadable_event(payload: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_order_event(payload)


@given(
    field=st.sampled_from(["type", "id", "data", "createdAt", "items", "productId", "quantity"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
        max_leaves=5,
    ),
)
def test_arbitrary_field_values_are_read_or_refused(field: str, value: Any) -> None:
    event = with_data(items=[{"productId": 1, "quantity": 2}])
    place = next(part for part in (event, event["data"], event["data"]["items"][0]) if field in part)
    place[field] = value
    try:
        found = read_order_event(json.dumps(event).encode())
    except UnreadableEvent:
        return
    assert found.day >= date.min
    assert all(1 <= units <= 1_000 for units in found.units.values())
