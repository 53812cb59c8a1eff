"""Use cases of reservations: reserve, release, expire, purge. Each acquires its locks and opens its transaction.

`orders.services.pay_reservation` places an order from a reservation.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError

from commerce.core.errors import LockTimeout
from commerce.core.group_commit import commit
from commerce.core.locks import product_lock, user_lock
from commerce.core.sql import violated_constraint
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency, commit_once, refuse_once
from reservations import operations, selectors
from reservations.errors import ReservationNotFound
from reservations.models import ONE_LIVE_PER_USER, Reservation
from reservations.operations import HeldMeanwhile, UnitsHeld
from reservations.selectors import Expired

logger = logging.getLogger(__name__)

MOST_TRIES = 10
"""Attempts of `reserve` before LockTimeout, when concurrent requests or expiries change what it has to end."""
ENDED_AT_ONCE = 20
"""Reservations ended in one transaction; small, so that orders do not wait long for the products' locks."""


def reserve(*, user_id: int, quantities: Mapping[int, int], idempotency: Idempotency) -> Reservation:
    """Hold stock (quantity by product id) for the customer, for `RESERVATION_MINUTES`.

    The customer's previous reservation ends in the same transaction; if this one is refused, it stays as it was.
    Raises UserNotFound, ProductNotFound, OutOfStock, LockTimeout.
    """
    expired: Expired | None = None
    for _try in range(MOST_TRIES):
        write = Reserve(user_id, quantities, selectors.held_by(user_id), expired)
        try:
            return commit_once(write, idempotency)
        except HeldMeanwhile:
            continue
        except UnitsHeld:
            expired = selectors.expired_on(quantities)
        except IntegrityError as error:
            if violated_constraint(error) != ONE_LIVE_PER_USER:
                raise
    raise LockTimeout


def release(*, reservation_id: int, user_id: int, idempotency: Idempotency) -> Reservation:
    """End a reservation and release its stock. One that has ended unpaid stays as it is.

    Raises ReservationNotFound, ReservationExpired for one that is paid, LockTimeout.
    """
    try:
        reservation = selectors.reservation_for(reservation_id, owner_id=user_id)
    except ReservationNotFound as refusal:
        refuse_once(refusal, idempotency)
    return commit_once(Release(reservation), idempotency)


def expire_reservations(
    *, stopping: Callable[[], bool] = lambda: False, on_batch: Callable[[int], object] = lambda _count: None
) -> int:
    """End expired reservations and return how many.

    Works in batches, each a transaction of its own. A batch that times out on a lock is left to the next run. Raises
    django.db.Error if the database fails; finished batches stay.
    """
    ended, after = 0, 0
    while not stopping() and (batch := selectors.expired(most=ENDED_AT_ONCE, after=after)):
        after = batch[-1].pk
        try:
            count = commit(Expire(batch))
        except LockTimeout:
            logger.warning("%d reservations could not be ended: their products are locked", len(batch))
            continue
        ended += count
        on_batch(count)
    return ended


def purge_reservations(
    *,
    before: datetime,
    stopping: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> int:
    """Delete the reservations that ended before this time, in batches, and return how many.

    `stopping` is called before each batch.
    """
    purged = 0
    while not stopping() and (count := operations.purge(before=before)):
        purged += count
        on_batch(count)
    return purged


@dataclass(frozen=True, slots=True)
class Reserve:
    """See `reserve`. The items of reservations never change, so they are read before the transaction."""

    user_id: int
    quantities: Mapping[int, int]
    replaced: Reservation | None
    expired: Expired | None

    def locks(self) -> list[str]:
        products = {*self.quantities}
        if self.replaced is not None:
            products |= self.replaced.quantities.keys()
        if self.expired is not None:
            products |= self.expired.product_ids
        # The user's lock, so that two concurrent requests of one customer do not both find nothing to replace.
        return [*map(product_lock, products), user_lock(self.user_id)]

    def load(self, transaction: Transaction) -> None:
        if self.replaced is not None:
            operations.will_end(transaction, (self.replaced,))
        if self.expired is not None:
            operations.will_end(transaction, self.expired.reservations)
        operations.will_hold(transaction, self.user_id, self.quantities)

    def decide(self, transaction: Transaction) -> Reservation:
        return operations.hold(
            transaction,
            user_id=self.user_id,
            quantities=self.quantities,
            replaced=self.replaced,
            expired=self.expired,
        )


@dataclass(frozen=True, slots=True)
class Release:
    """See `release`."""

    reservation: Reservation

    def locks(self) -> list[str]:
        return list(map(product_lock, self.reservation.quantities))

    def load(self, transaction: Transaction) -> None:
        operations.will_end(transaction, (self.reservation,))

    def decide(self, transaction: Transaction) -> Reservation:
        state = operations.release(transaction, self.reservation)
        self.reservation.status, self.reservation.ended_at = state.status, state.ended_at
        return self.reservation


@dataclass(frozen=True, slots=True)
class Expire:
    """See `expire_reservations`."""

    reservations: list[Reservation]

    def locks(self) -> list[str]:
        return [product_lock(each) for each in {each for held in self.reservations for each in held.quantities}]

    def load(self, transaction: Transaction) -> None:
        operations.will_end(transaction, self.reservations)

    def decide(self, transaction: Transaction) -> int:
        return operations.return_expired(transaction, self.reservations)
