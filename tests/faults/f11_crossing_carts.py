"""F11: carts with the same products in opposite orders, from thirty-two customers at the same time."""

from commerce.core import sql
from tests.faults.burst import burst, key_of, order
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

_CUSTOMERS = 32
_FLUSH_SECONDS = 3.0
"""PostgreSQL reports a deadlock in its statistics when the session of it is idle for a moment."""
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


class CrossingCarts(Fault):
    """All transactions lock in the same order, so that PostgreSQL never has to resolve a deadlock."""

    number = "F11"
    title = "crossing carts, 32 customers"
    protection = "rows are locked in the order of their ids, and the locks before them"
    control_shows = "deadlocks (40P01)"
    gap_seconds = (0.1, 0.3)
    most_shots = 200

    def control(self) -> Variant:
        return Variant(
            patches=("tests.faults.naive_shop.no_locks", "tests.faults.naive_shop.stock_in_the_order_of_the_cart")
        )

    def strike(self, run: Run) -> str:
        one, other = run.random.sample(run.scene.products, 2)
        customers = run.random.sample(run.scene.users, _CUSTOMERS)
        carts = [{one: 1, other: 1}, {other: 1, one: 1}]
        calls = burst(
            run,
            [order(customer, carts[number % 2], key=key_of(run)) for number, customer in enumerate(customers)],
        )
        bought = sum(call.status == 200 for call in calls)
        if not bought:
            raise NotFired(f"none of {_CUSTOMERS} crossing carts was bought: {calls[0]}")
        return f"{_CUSTOMERS} carts crossed, {bought} bought"

    def judge(self, run: Run) -> list[str]:
        return deadlocks(run)


def deadlocks(run: Run) -> list[str]:
    """A violation if there were deadlocks in the shop's database."""
    run.wait_until(lambda: _deadlocks() > 0, seconds=_FLUSH_SECONDS)
    ended = _deadlocks()
    return [f"PostgreSQL ended {ended} deadlocks (40P01)"] if ended else []


def _deadlocks() -> int:
    row = sql.fetch_one(_DEADLOCKS)
    assert row is not None
    return int(row[0])
