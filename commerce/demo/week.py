"""The customers' actions in the demo week: charges, orders with their coupons, and cancellations.

The plan is the same on every run, and relative to the start of the week. Writes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from commerce.demo.catalogue import (
    COUPONS,
    INACTIVE_ID,
    NEARLY_SOLD_OUT,
    OPEN_PERCENT,
    PASSED,
    PRODUCTS,
    SOLD_OUT_ID,
)
from coupons.rules import Discount
from orders.rules import Line, total_of

CUSTOMERS = 1000
DAYS = 7
ORDERS_PER_DAY = 60
CHARGE_STEP_WON = 10_000
SEED = 2024
REFUNDED = 0.12
"""Of the orders that are not cancelled, the share of which something may be refunded."""
REASONS = ((True, "Sent back unused."), (True, "Ordered one too many."), (False, "Arrived broken."))
"""Whether the units can be sold again, and why they came back."""

# How many customers hold each coupon at the start of the week. All 100 units of the open FIXED one are available.
HOLDERS = {OPEN_PERCENT: 300, PASSED: 150, NEARLY_SOLD_OUT: 98}
# The passed coupon expires a day before the end, so it is only used on earlier days.
LAST_DAY_OF_USE = {OPEN_PERCENT: DAYS - 1, PASSED: DAYS - 3, NEARLY_SOLD_OUT: DAYS - 1}


@dataclass(frozen=True)
class Visit:
    """An action of a customer on a day of the week (0 is the first), at a share of that day from 0 to 1."""

    user_id: int
    day: int
    share_of_day: float


@dataclass(frozen=True)
class Charge(Visit):
    """A charge, in won."""

    amount: int


@dataclass(frozen=True)
class PartBack:
    """What staff refund of an order, as units by product id, and after how many minutes."""

    quantities: dict[int, int]
    restock: bool
    reason: str
    after_minutes: int


@dataclass(frozen=True)
class Purchase(Visit):
    """An order, after how many minutes it is cancelled, if at all, and what of it is refunded."""

    lines: list[Line]
    discount_amount: int
    coupon_id: int | None
    cancelled_after_minutes: int | None
    part_back: PartBack | None = None

    @property
    def total_amount(self) -> int:
        """Won."""
        return total_of(self.lines)

    @property
    def paid_amount(self) -> int:
        """Won."""
        return self.total_amount - self.discount_amount


@dataclass
class Plan:
    """All actions, in order."""

    opening_balances: dict[int, int] = field(default_factory=dict)
    """Opening charges in won, by user id."""
    holders: dict[int, list[int]] = field(default_factory=dict)
    """User ids by coupon id, in order of issue."""
    visits: list[Charge | Purchase] = field(default_factory=list)

    @property
    def purchases(self) -> list[Purchase]:
        return [visit for visit in self.visits if isinstance(visit, Purchase)]


def plan_week() -> Plan:
    """Create the plan of the demo week."""
    random = Random(SEED)  # noqa: S311  # must be the same on every run
    plan = Plan()
    for user_id in range(1, CUSTOMERS + 1):
        plan.opening_balances[user_id] = random.randint(30, 200) * CHARGE_STEP_WON
    plan.opening_balances[1] = 1_000_000
    for coupon_id, count in HOLDERS.items():
        plan.holders[coupon_id] = [1, *random.sample(range(2, CUSTOMERS + 1), count - 1)]
    wallet = _Wallet(dict(plan.opening_balances), {key: set(ids) for key, ids in plan.holders.items()})
    for day in range(DAYS):
        for moment in sorted(random.random() for _ in range(ORDERS_PER_DAY)):
            plan.visits += _visit(random, wallet, day, moment)
    plan.visits = [_with_refund(visit, random) for visit in plan.visits]
    return plan


def _with_refund(visit: Charge | Purchase, random: Random) -> Charge | Purchase:
    """The visit; of some orders that are kept, with units of one line refunded later."""
    if not isinstance(visit, Purchase) or visit.cancelled_after_minutes or random.random() > REFUNDED:
        return visit
    # The sold-out product stays sold out, and what is left of the order keeps its coupon used.
    lines = [line for line in visit.lines if line.product_id != SOLD_OUT_ID]
    if not lines or sum(line.quantity for line in visit.lines) < 2:
        return visit
    line = random.choice(lines)
    units = min(random.randint(1, line.quantity), sum(each.quantity for each in visit.lines) - 1)
    restock, reason = random.choice(REASONS)
    return replace(visit, part_back=PartBack({line.product_id: units}, restock, reason, random.randint(600, 4_000)))


@dataclass
class _Wallet:
    """What customers can spend. Refunds are not included, so the plan is valid whenever they arrive."""

    balances: dict[int, int]
    unused: dict[int, set[int]]


def _visit(random: Random, wallet: _Wallet, day: int, share_of_day: float) -> Iterator[Charge | Purchase]:
    user_id = _customer(random, wallet)
    lines = _basket(random)
    total_amount = total_of(lines)
    coupon_id = _coupon(wallet, user_id, total_amount, day)
    discount_amount = 0
    if coupon_id is not None:
        wallet.unused[coupon_id].remove(user_id)
        coupon = COUPONS[coupon_id - 1]
        discount = Discount(coupon.discount_type, coupon.discount_value, coupon.max_discount)
        discount_amount = discount.off(total_amount)
    missing = total_amount - discount_amount - wallet.balances[user_id]
    if missing > 0 or random.random() < 0.1:
        amount = (max(missing, 0) // CHARGE_STEP_WON + 10) * CHARGE_STEP_WON
        wallet.balances[user_id] += amount
        yield Charge(user_id, day, share_of_day, amount)
    wallet.balances[user_id] -= total_amount - discount_amount
    # The sold-out product must stay sold out, so its orders are not cancelled.
    returns = random.random() < 0.08 and all(line.product_id != SOLD_OUT_ID for line in lines)
    yield Purchase(
        user_id,
        day,
        share_of_day,
        lines,
        discount_amount,
        coupon_id,
        random.randint(3, 300) if returns else None,
    )


def _customer(random: Random, wallet: _Wallet) -> int:
    """A few customers order often, some of them because they hold a coupon; most order rarely."""
    habit = random.random()
    if habit < 0.15:
        return random.randint(1, 10)
    if habit < 0.5:
        holders = sorted(wallet.unused[random.choice(list(HOLDERS))])
        return random.choice(holders)
    return random.randint(1, CUSTOMERS)


def _basket(random: Random) -> list[Line]:
    """One to four products; the first products of the catalogue are the best sellers."""
    on_sale = [product_id for product_id in range(1, len(PRODUCTS) + 1) if product_id != INACTIVE_ID]
    popularity = [1 / (product_id + 4) for product_id in on_sale]
    chosen = dict.fromkeys(random.choices(on_sale, popularity, k=random.choices([1, 2, 3, 4], [5, 3, 2, 1])[0]))
    return [
        Line(product_id, PRODUCTS[product_id - 1].name, PRODUCTS[product_id - 1].price, quantity)
        for product_id, quantity in zip(chosen, random.choices([1, 2, 3, 5], [8, 4, 2, 1], k=len(chosen)), strict=True)
    ]


def _coupon(wallet: _Wallet, user_id: int, total_amount: int, day: int) -> int | None:
    """The customer's first applicable coupon."""
    for coupon_id, holders in wallet.unused.items():
        fits = total_amount >= COUPONS[coupon_id - 1].min_order_amount and day <= LAST_DAY_OF_USE[coupon_id]
        if user_id in holders and fits:
            return coupon_id
    return None
