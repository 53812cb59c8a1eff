"""F3: a lock expires while its owner is inside the transaction, and twenty other requests want the last unit."""

from tests.factories import CouponFactory, ProductFactory
from tests.faults.burst import burst, issue, key_of, order
from tests.faults.fault import NotFired, Run
from tests.faults.late_owner import LATE, LateOwner
from tests.faults.points import sleep
from tests.faults.shop import Variant

_RIVALS = 20
_HELD_UP_SECONDS = 1.5


class LockExpired(LateOwner):
    """The database decides: the late owner gets the last unit, the others are refused, and its response is correct."""

    number = "F3"
    title = "lock runs out, 20 rivals"
    protection = "stock is taken and coupons are counted by statements that hold with the lock lost"
    control_shows = ("the last unit was given", "the last coupon was given")
    fewest_shots = 2
    most_shots = 200

    def control(self) -> Variant:
        naive = ("tests.faults.naive_shop.stock_from_memory", "tests.faults.naive_shop.coupons_from_memory")
        return self.naive(*naive)

    def strike(self, run: Run) -> str:
        late, *rivals = run.random.sample(run.scene.users, _RIVALS + 1)
        if len(run.shots) % 2:
            what, step, coupon = "coupon", "after-effect", CouponFactory(total_quantity=1).pk
            lock = f"coupon:{coupon}:lock"
            first = issue(late, coupon, key=key_of(run), points=LATE)
            others = [issue(rival, coupon, key=key_of(run)) for rival in rivals]
        else:
            what, step, product = "unit", "after-stock", ProductFactory(stock=1).pk
            lock = f"product:{product}:lock"
            first = order(late, {product: 1}, key=key_of(run), points=LATE)
            others = [order(rival, {product: 1}, key=key_of(run)) for rival in rivals]
        self.begin(run, first, step=step, action=sleep(_HELD_UP_SECONDS))
        self.wait_for_lock_to_end(run, lock)
        calls = burst(run, others)
        owner = self.end(run)
        had = [call for call in (owner, *calls) if call.status == 200]
        if not had:
            raise NotFired(f"nobody had the last {what}")
        if len(had) > 1:
            run.wrong.append(f"the last {what} was given {len(had)} times: {had[0]} and {had[1]}")
        if owner.status != 200:
            run.wrong.append(f"the late owner lost what it had: {owner}")
        return f"{lock} ran out, {len(calls)} rivals came in"
