"""F18: many simultaneous cancellations of one order, whose coupon is still valid or has expired meanwhile."""

from django.utils import timezone

from balances.models import EntryType, LedgerEntry
from coupons.models import UserCoupon
from products.models import MovementReason, StockMovement
from tests.factories import CouponFactory
from tests.faults.burst import acknowledged, ask, burst, cancel, issue, key_of, order
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call
from tests.faults.shop import Variant

_CANCELS = 16
_PAIR = 2


class CancelledTwice(Fault):
    """One cancellation succeeds, the others are refused: money, units and coupon are returned once."""

    number = "F18"
    title = "cancel racing cancel"
    protection = "an order is cancelled by a conditional statement, under a lock, and refunded once"
    control_shows = "cancels of one order were done"
    gap_seconds = (0.1, 0.3)
    fewest_shots = 2
    most_shots = 200

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.naive_shop.no_locks", "tests.faults.naive_shop.cancels_that_look_first"))

    def strike(self, run: Run) -> str:
        expired = len(run.shots) % 2 == 1
        user_id, product = run.random.choice(run.scene.users), run.random.choice(run.scene.products)
        held = acknowledged(run, issue(user_id, CouponFactory(total_quantity=1).pk, key=key_of(run))).json["id"]
        basket = order(user_id, {product: 2}, coupon=held, key=key_of(run))
        order_id = acknowledged(run, basket).json["id"]
        if expired:
            UserCoupon.objects.filter(pk=held).update(expires_at=timezone.now())
        cancels = _PAIR if run.random.random() < 0.5 else _CANCELS
        calls = burst(run, [cancel(user_id, order_id, key=key_of(run)) for _ in range(cancels)])
        self._check(run, order_id, calls)
        again = ask(run, order(user_id, {product: 1}, coupon=held, key=key_of(run)))
        self._check_coupon(run, again, expired=expired)
        word = "whose coupon had expired" if expired else "whose coupon is good"
        return f"{cancels} cancels of an order {word}"

    @staticmethod
    def _check(run: Run, order_id: int, calls: list[Call]) -> None:
        done = [call for call in calls if call.status == 200]
        if not done:
            raise NotFired(f"nobody could cancel order {order_id}: {calls[0]}")
        if len(done) > 1:
            run.wrong.append(f"{len(done)} cancels of one order were done: order {order_id}")
        answered = {call.code for call in calls if call.status != 200}
        run.wrong += [
            f"order {order_id}: a second cancel was told {code}" for code in answered - {"order_not_cancellable"}
        ]
        refunds = LedgerEntry.objects.filter(order_id=order_id, type=EntryType.REFUND).count()
        returns = StockMovement.objects.filter(order_id=order_id, reason=MovementReason.RETURN).count()
        if (refunds, returns) != (1, 1):
            run.wrong.append(f"order {order_id} was refunded {refunds} times and its unit returned {returns} times")

    @staticmethod
    def _check_coupon(run: Run, again: Call, *, expired: bool) -> None:
        answered = (again.status, again.json.get("reason") if again.code else None) if again.status else None
        if answered != ((400, "expired") if expired else (200, None)):
            run.wrong.append(f"{again} with the coupon that came back, expired: {expired}")
