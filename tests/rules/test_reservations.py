"""Rules of reservations: before, at and after their expiry."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from reservations.errors import ReservationExpired
from reservations.rules import EXPIRED, HELD, PAID, RELEASED, REPLACED, ReservationState, shown_status

END = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = END - timedelta(microseconds=1)
ENDED = END - timedelta(hours=1)


def reservation(status: str = HELD, ended_at: datetime | None = None, order_id: int | None = None) -> ReservationState:
    return ReservationState(4, status, END, ended_at, order_id)


def ended(status: str, now: datetime, order_id: int | None = None) -> ReservationState:
    """A reservation that has ended since it was read."""
    return ReservationState(4, status, END, now, order_id, ends_now=True)


@pytest.mark.parametrize(
    ("status", "now", "shown"),
    [(HELD, BEFORE, HELD), (HELD, END, EXPIRED), (PAID, BEFORE, PAID), (PAID, END, PAID), (RELEASED, END, RELEASED)],
)
def test_a_held_reservation_shows_as_expired_from_its_end_on(status: str, now: datetime, shown: str) -> None:
    assert shown_status(status, END, now) == shown
    assert reservation(status).status_at(now) == shown


def test_a_reservation_is_paid_in_its_last_moment() -> None:
    state = reservation()
    state.pay(9, BEFORE)
    assert state == ended(PAID, BEFORE, order_id=9)


@pytest.mark.parametrize(
    ("state", "now", "status", "order_id"),
    [
        (reservation(), END, EXPIRED, None),
        (reservation(RELEASED, ENDED), BEFORE, RELEASED, None),
        (reservation(PAID, ENDED, 8), BEFORE, PAID, 8),
    ],
)
def test_one_that_has_ended_is_not_paid(
    state: ReservationState, now: datetime, status: str, order_id: int | None
) -> None:
    before = copy.copy(state)
    with pytest.raises(ReservationExpired) as refusal:
        state.pay(9, now)
    assert (refusal.value.reservation_id, refusal.value.status, refusal.value.order_id) == (4, status, order_id)
    assert state == before


@pytest.mark.parametrize(("now", "status"), [(BEFORE, RELEASED), (END, EXPIRED)])
def test_a_released_reservation_frees_its_units(now: datetime, status: str) -> None:
    state = reservation()
    assert state.release(now) is True
    assert state == ended(status, now)


@pytest.mark.parametrize(("now", "status"), [(BEFORE, REPLACED), (END, EXPIRED)])
def test_a_replaced_reservation_frees_its_units(now: datetime, status: str) -> None:
    state = reservation()
    assert state.replace(now) is True
    assert state == ended(status, now)


def test_a_reservation_expires_at_its_end_and_not_before() -> None:
    state = reservation()
    assert state.expire(BEFORE) is False
    assert state == reservation()
    assert state.expire(END) is True
    assert state == ended(EXPIRED, END)


def test_a_paid_reservation_is_not_released() -> None:
    state = reservation(PAID, ENDED, 8)
    with pytest.raises(ReservationExpired) as refusal:
        state.release(BEFORE)
    assert (refusal.value.reservation_id, refusal.value.status, refusal.value.order_id) == (4, PAID, 8)
    assert state == reservation(PAID, ENDED, 8)


@pytest.mark.parametrize("status", [RELEASED, REPLACED, EXPIRED])
def test_one_that_has_ended_stays_as_it_is(status: str) -> None:
    state = reservation(status, ENDED)
    assert [state.release(END), state.replace(END), state.expire(END)] == [False, False, False]
    assert state == reservation(status, ENDED)


def test_a_paid_reservation_is_neither_replaced_nor_expired() -> None:
    state = reservation(PAID, ENDED, 8)
    assert [state.replace(END), state.expire(END)] == [False, False]
    assert state == reservation(PAID, ENDED, 8)
