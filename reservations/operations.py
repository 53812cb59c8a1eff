"""Holding stock for carts and ending reservations, inside a transaction that may be shared with other writes.

The statements on `reservation` and `reservation_item`; stock moves in `products.operations`.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.conf import settings

from balances.operations import OpenAccounts
from commerce.core import sql
from commerce.core.pipeline import Rows, Statement
from commerce.core.transaction import LockedRows, NewRows, Table, Transaction, array, as_json
from products import operations as stock
from products.errors import OutOfStock
from products.rules import StockedProduct
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.rules import HELD, ReservationState
from reservations.selectors import Expired

BATCH_SIZE = 1_000

# SKIP LOCKED leaves rows to a concurrent purge. Items are deleted with their reservation.
PURGE = """
    WITH old AS MATERIALIZED (
        SELECT id FROM reservation WHERE ended_at < %(before)s ORDER BY ended_at LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ), items AS (
        DELETE FROM reservation_item WHERE reservation_id IN (SELECT id FROM old)
    )
    DELETE FROM reservation WHERE id IN (SELECT id FROM old)
"""


class HeldMeanwhile(Exception):
    """The customer's reservation has changed since this write was prepared. Nothing was changed."""


class UnitsHeld(Exception):
    """Too little stock is available, but expired reservations that this write did not load may hold some.

    Nothing was changed.
    """


class Reservations(LockedRows[ReservationState]):
    """The reservations that end."""

    lock_order = 15
    row = ReservationState
    LOCK = """
        SELECT id, status, expires_at, ended_at, order_id FROM reservation
        WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = "SELECT id FROM reservation WHERE id = ANY(%s::bigint[])"
    SAVE = """
        UPDATE reservation SET status = saved.status, ended_at = saved.ended_at, order_id = saved.order_id
        FROM jsonb_to_recordset(%s::jsonb) AS saved (
            id bigint, status text, ended_at timestamptz, order_id bigint
        )
        WHERE reservation.id = saved.id
    """

    def write(self) -> None:
        """In `clear`: a customer's reservation must have ended before the next one is added."""

    def clear(self) -> Statement | None:
        # Ending a reservation always changes its products as well, so a later table writes. One that had ended before
        # was only read.
        ended = [state for state in self.changed if state.ends_now]
        return Statement(self.SAVE, (as_json(ended),)) if ended else None


class LiveReservations(Table):
    """The customers' reservations that hold stock, for writes that replace them."""

    lock_order = 25
    """Read after the products' rows are locked, so that all reservations that hold their stock are visible."""

    def __init__(self) -> None:
        self._wanted: dict[int, None] = {}
        self._live: dict[int, int] = {}

    def want(self, user_id: int) -> None:
        self._wanted[user_id] = None

    def of(self, user_id: int) -> int | None:
        """The id of the customer's reservation; None if there is none."""
        return self._live.get(user_id)

    def read(self) -> Statement | None:
        if not self._wanted:
            return None
        return Statement(
            "SELECT user_id, id FROM reservation WHERE user_id = ANY(%s::bigint[]) AND status = 'HELD'",
            (array(self._wanted),),
        )

    def accept(self, rows: Rows) -> None:
        self._live = dict(rows)


class NewReservations(NewRows):
    """The new reservations."""

    SEQUENCE = "reservation_id_seq"
    INSERT = """
        INSERT INTO reservation (id, user_id, status, created_at, expires_at)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            id bigint, user_id bigint, status text, created_at timestamptz, expires_at timestamptz
        )
    """

    def is_of(self, user_id: int) -> bool:
        """Whether one of them is this customer's."""
        return any(row["user_id"] == user_id for row in self.rows)


class ReservationItems(NewRows):
    """Their items, in the order of the request."""

    INSERT = """
        INSERT INTO reservation_item (reservation_id, product_id, quantity)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            reservation_id bigint, product_id bigint, quantity integer
        )
    """


def will_end(transaction: Transaction, reservations: Iterable[Reservation]) -> None:
    """Load what the operations that end reservations need."""
    for reservation in reservations:
        transaction[Reservations].want((reservation.pk,))
        stock.will_move(transaction, reservation.quantities)


def will_hold(transaction: Transaction, user_id: int, product_ids: Iterable[int]) -> None:
    """Load what `hold` needs."""
    stock.will_move(transaction, product_ids)
    transaction[OpenAccounts].want((user_id,))
    transaction[LiveReservations].want(user_id)
    transaction[NewReservations].reserve(1)


def hold(
    transaction: Transaction,
    *,
    user_id: int,
    quantities: Mapping[int, int],
    replaced: Reservation | None,
    expired: Expired | None,
) -> Reservation:
    """Hold stock (quantity by product id) for a customer, all or none; ends the reservation `replaced`.

    Raises UserNotFound, ProductNotFound, OutOfStock; HeldMeanwhile, UnitsHeld.
    """
    transaction[OpenAccounts].require(user_id)
    live = transaction[LiveReservations].of(user_id)
    if live not in (None, replaced and replaced.pk) or transaction[NewReservations].is_of(user_id):
        # First, because its stock may be needed for the new one.
        raise HeldMeanwhile
    if replaced is not None and _state(transaction, replaced.pk).replace(transaction.now):
        stock.release_stock(transaction, replaced.quantities)
    if expired is not None:
        return_expired(transaction, expired.reservations)
    try:
        stock.hold_stock(transaction, quantities)
    except OutOfStock as refusal:
        require_nothing_expired(transaction, refusal, expired)
        raise
    return _add(transaction, user_id, quantities)


def pay(transaction: Transaction, reservation: Reservation, *, order_id: int) -> dict[int, StockedProduct]:
    """Take the stock of a reservation for an order; returns the products by id.

    Raises ReservationNotFound, ReservationExpired, ProductNotFound for a product that is not for sale any more.
    """
    _state(transaction, reservation.pk).pay(order_id, transaction.now)
    return stock.take_held_stock(transaction, reservation.quantities, order_id=order_id)


def release(transaction: Transaction, reservation: Reservation) -> ReservationState:
    """Release a reservation; returns its end state. Raises ReservationNotFound, ReservationExpired for a paid one."""
    state = _state(transaction, reservation.pk)
    if state.release(transaction.now):
        stock.release_stock(transaction, reservation.quantities)
    return state


def return_expired(transaction: Transaction, reservations: Iterable[Reservation]) -> int:
    """End those of the reservations that are expired and still hold stock; returns how many."""
    ended = 0
    for reservation in reservations:
        state = transaction[Reservations].get(reservation.pk)
        if state is not None and state.expire(transaction.now):
            stock.release_stock(transaction, reservation.quantities)
            ended += 1
    return ended


def require_nothing_expired(transaction: Transaction, refusal: OutOfStock, expired: Expired | None) -> None:
    """Check that `refusal` is final: no expired reservation holds stock of its products.

    `expired`: the expired reservations that this write has loaded and ended; None: it loaded none. Raises UnitsHeld if
    there may be others.
    """
    if not any(shortage.held for shortage in refusal.shortages):
        return
    # A reservation made after that query cannot be expired yet: it lasts a minute at least.
    if expired is None or (expired.next_at is not None and transaction.now >= expired.next_at):
        raise UnitsHeld


def purge(*, before: object) -> int:
    """Delete the next batch of reservations that ended before this time, in one statement; returns how many."""
    return sql.execute(PURGE, {"before": before, "limit": BATCH_SIZE})


def _state(transaction: Transaction, reservation_id: int) -> ReservationState:
    state = transaction[Reservations].get(reservation_id)
    if state is None:
        raise ReservationNotFound(reservation_id)
    return state


def _add(transaction: Transaction, user_id: int, quantities: Mapping[int, int]) -> Reservation:
    now = transaction.now
    reservation = Reservation(
        id=transaction[NewReservations].next_id(),
        user_id=user_id,
        status=HELD,
        created_at=now,
        expires_at=now + timedelta(minutes=settings.RESERVATION_MINUTES),
    )
    reservation.quantities = dict(quantities)
    columns = ("id", "user_id", "status", "created_at", "expires_at")
    transaction[NewReservations].add({name: getattr(reservation, name) for name in columns})
    items = transaction[ReservationItems]
    for product_id, quantity in quantities.items():
        items.add({"reservation_id": reservation.pk, "product_id": product_id, "quantity": quantity})
    return reservation
