"""What a customer does with a reservation, and the shop with those whose time is over.

Owns the locks and the transaction of each use case; the statements are in `operations`. Orders are paid from a
reservation in `orders.services`.
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
"""How often the same customer may come in between, or time run out for a hold, before the caller has to try again."""
ENDED_AT_ONCE = 20
"""So that nobody who buys one of the products waits long for its lock."""


def reserve(*, user_id: int, quantities: Mapping[int, int], idempotency: Idempotency) -> Reservation:
    """Hold units of products (quantity by product id) for the customer, for `RESERVATION_MINUTES`.

    The reservation that the customer has ends with it; where this one is refused, it stays as it was.
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
    """Give up a reservation: its units can be had by everybody again. One that has ended unpaid stays as it is.

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
    """End the reservations whose time is over, and return how many those were.

    In batches, each a transaction of its own; one whose rows others hold is left to the next turn. Raises
    django.db.Error where the database fails; what was ended before stays.
    """
    ended, after = 0, 0
    while not stopping() and (batch := selectors.expired(most=ENDED_AT_ONCE, after=after)):
        after = batch[-1].pk
        try:
            count = commit(Expire(batch))
        except LockTimeout:
            logger.warning("%d reservations could not be ended: others hold their products", len(batch))
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
    """Delete the reservations that ended before this moment, in batches, and return how many there were.

    `stopping` is asked before each batch.
    """
    purged = 0
    while not stopping() and (count := operations.purge(before=before)):
        purged += count
        on_batch(count)
    return purged


@dataclass(frozen=True, slots=True)
class Reserve:
    """See `reserve`. What `replaced` and `expired` hold never changes, so it is read before the transaction."""

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
        # The customer's, so that two requests of theirs in two processes do not both find nothing to replace.
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
