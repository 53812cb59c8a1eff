"""The states of a reservation.

Plain objects: no database, no clock.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reservations.errors import ReservationExpired

MOST_ITEMS = 100
"""Items in a cart, and so in an order."""
LARGEST_QUANTITY = 1000
"""Quantity of one product in a cart."""

HELD: Final = "HELD"
PAID: Final = "PAID"
RELEASED: Final = "RELEASED"
REPLACED: Final = "REPLACED"
EXPIRED: Final = "EXPIRED"


@dataclass(slots=True)
class ReservationState:
    """The mutable state of a reservation. It holds stock while `status` is HELD, also after `expires_at`."""

    id: int
    status: str
    expires_at: datetime
    ended_at: datetime | None
    order_id: int | None
    ends_now: bool = False
    """Whether it has ended since it was read."""

    def status_at(self, now: datetime) -> str:
        """The status that customers see: EXPIRED from `expires_at` on, even if its stock is still held."""
        return shown_status(self.status, self.expires_at, now)

    def pay(self, order_id: int, now: datetime) -> None:
        """End it as paid. Raises ReservationExpired."""
        status = self.status_at(now)
        if status != HELD:
            raise ReservationExpired(self.id, status, self.order_id)
        self._end(PAID, now)
        self.order_id = order_id

    def release(self, now: datetime) -> bool:
        """End it as released; returns whether this has released stock.

        Raises ReservationExpired for one that is paid. One that has ended otherwise stays as it is.
        """
        if self.status == PAID:
            raise ReservationExpired(self.id, self.status, self.order_id)
        return self._free(RELEASED, now)

    def replace(self, now: datetime) -> bool:
        """End it because the customer makes another one; returns whether this has released stock."""
        return self._free(REPLACED, now)

    def expire(self, now: datetime) -> bool:
        """End it if it is expired; returns whether this has released stock."""
        return self.status_at(now) == EXPIRED and self._free(EXPIRED, now)

    def _free(self, status: str, now: datetime) -> bool:
        if self.status != HELD:
            return False
        self._end(EXPIRED if now >= self.expires_at else status, now)
        return True

    def _end(self, status: str, now: datetime) -> None:
        self.status = status
        self.ended_at = now
        self.ends_now = True


def shown_status(status: str, expires_at: datetime, now: datetime) -> str:
    """EXPIRED instead of HELD from `expires_at` on."""
    return EXPIRED if status == HELD and now >= expires_at else status
