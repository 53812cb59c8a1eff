"""A coupon rush: forty customers request fifteen units at the same time.

Contains the threads and their requests. The history records who got a unit, and the judge verifies it.
"""

import threading
from random import Random

from tests.factories import CouponFactory
from tests.faults.caller import CLIENT_SECONDS, Caller
from tests.faults.fault import Run
from tests.faults.scene import UNITS
from tests.faults.shop import Variant

COUNTED_FROM_MEMORY = Variant(patches=("tests.faults.naive_shop.coupons_from_memory",))
"""The shop in which only the lock separates two issues."""
MORE_UNITS_THAN_THERE_ARE = "issued_count_is_its_holders"


class Rush:
    """All customers request one unit of a new coupon, each on a separate connection."""

    def __init__(self, run: Run, random: Random) -> None:
        self.coupon_id = CouponFactory(total_quantity=UNITS).pk
        self._run = run
        self._start = threading.Barrier(len(run.scene.users))
        self._threads = [
            threading.Thread(target=self._ask, args=(user_id, f"rush-{self.coupon_id}-{random.getrandbits(32):08x}"))
            for user_id in run.scene.users
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def is_on(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def wait(self) -> None:
        """Wait until all requests are answered."""
        for thread in self._threads:
            thread.join(CLIENT_SECONDS + 3)

    def _ask(self, user_id: int, key: str) -> None:
        caller = Caller(self._run.shop.port, self._run.history, name=f"rush-{user_id}")
        self._start.wait()
        try:
            path = f"/api/coupons/{self.coupon_id}/issue"
            caller.call("issue", "POST", path, user_id=user_id, token=self._run.scene.tokens[user_id], key=key)
        finally:
            caller.close()
