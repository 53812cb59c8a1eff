"""The actions of customers and staff in the year of the large demo shop, by day.

The plan is the same on every run, and relative to the start of the year. It tracks the balances and stocks that it
depends on. Writes nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from random import Random
from typing import TypeAlias

from commerce.demo.assortment import DAYS, LINES, QUANTITIES, Assortment
from commerce.demo.catalogue import SOLD_OUT_ID
from commerce.demo.week import REASONS, SEED, Charge, Visit
from coupons.rules import Discount
from orders.rules import Line, refunded_share, total_of

CHARGE_STEP_WON = 1_000
LONGEST_RETURN_DAYS = 3
WELL_OFF_WON = 1_000_000
"""The amount that customer 1, whose login is documented, charges this morning."""

_WEEK = (0.9, 0.9, 1.0, 1.0, 1.1, 1.4, 1.3)
_FIRST_CUSTOMERS = 0.4
_RETURNED = 0.05
_REFUNDED = 0.03
"""Of the orders that are kept and have two units or more, the share of which one line is refunded in part."""
_REPAIRED = 0.001
_SUPPLY_ENDS_DAYS_AGO = 35


@dataclass(frozen=True)
class Goodwill(Visit):
    """A credit by staff, in won."""

    amount: int


@dataclass(frozen=True)
class CouponIssue(Visit):
    """A unit of a coupon is issued to a customer."""

    user_coupon_id: int
    coupon_id: int


@dataclass(frozen=True)
class PartBack:
    """What staff refund of one line of an order, on which day and at which share of it."""

    line: Line
    units: int
    restock: bool
    reason: str
    at: tuple[int, float]


@dataclass(frozen=True)
class Sale(Visit):
    """An order, and the day and share of the day of its cancellation, or what of it is refunded, if any."""

    order_id: int
    lines: Sequence[Line]
    total_amount: int
    discount_amount: int
    user_coupon_id: int | None
    returned: tuple[int, float] | None
    part_back: PartBack | None

    @property
    def paid_amount(self) -> int:
        """Won."""
        return self.total_amount - self.discount_amount

    @property
    def refunded_amount(self) -> int:
        """Won that the refund gives back."""
        if self.part_back is None:
            return 0
        value = self.part_back.line.unit_price * self.part_back.units
        return refunded_share(self.paid_amount, value, self.total_amount)


@dataclass(frozen=True)
class Return(Visit):
    """The cancellation of an order."""

    sale: Sale


@dataclass(frozen=True)
class PartRefund(Visit):
    """The refund of some units of an order."""

    sale: Sale
    back: PartBack


@dataclass(frozen=True)
class Restock:
    """Staff add units to the stock of a product."""

    day: int
    share_of_day: float
    product_id: int
    quantity: int


Unit: TypeAlias = tuple[int, int]
"""An issued unit of a coupon: its id and the coupon's id."""
Happening: TypeAlias = Charge | Goodwill | CouponIssue | Sale | Return | PartRefund | Restock


class Year:
    """The plan of a year for a shop of some size. `days` can be called once."""

    def __init__(self, assortment: Assortment) -> None:
        self._assortment = assortment
        self._random = Random(SEED)  # noqa: S311  # the same year on every run is the point
        # Apart from the other, and what it gives back is not spent again: the rest of the plan is the same without it.
        self._refunding = Random(SEED)  # noqa: S311  # as above
        self._refunds: dict[int, list[PartRefund]] = defaultdict(list)
        self._balances = [0] * (assortment.customers + 1)
        self._stock = [0, *(product.opening_stock for product in assortment.products)]
        self._popularity = list(accumulate(assortment.popularity))
        self._lines = _lines(assortment)
        self._orders_until = _orders_until(assortment.orders)
        self._terms = [
            (Discount(coupon.discount_type, coupon.discount_value, coupon.max_discount), coupon.min_order_amount)
            for coupon in (campaign.coupon for campaign in assortment.campaigns)
        ]
        self._holders: dict[int, set[int]] = defaultdict(set)
        self._held: dict[int, list[Unit]] = defaultdict(list)
        # With the id of the coupon unit that becomes available again.
        self._coming_back: dict[int, list[tuple[Return, Unit | None]]] = defaultdict(list)
        self._issued = 0
        self._sold = 0

    def days(self) -> Iterator[Sequence[Happening]]:
        """The actions of each day of the year, in order."""
        for day in range(DAYS):
            # A stable sort: staff actions at the start of the day come first.
            yield sorted(self._happenings(day), key=attrgetter("share_of_day"))

    def _happenings(self, day: int) -> Iterator[Happening]:
        yield from self._restocks(day)
        issues = self._issues(day)
        yield from issues
        if day == DAYS - 1:
            self._balances[1] += WELL_OFF_WON
            yield Charge(1, day, 0.0, WELL_OFF_WON)
        yield from self._sales(day)
        # Today's charges are available from tomorrow, so the plan does not depend on the time of day.
        for issue in issues:
            self._held[issue.user_id].append((issue.user_coupon_id, issue.coupon_id))
        yield from self._returns(day)
        yield from self._refunds.pop(day, ())

    def _restocks(self, day: int) -> Iterator[Restock]:
        for product_id, daily in enumerate(self._assortment.units_a_day, start=1):
            # A few products are not restocked any more, so some of them are sold out by today, and others nearly so.
            has_ended = product_id % 25 == SOLD_OUT_ID and day >= DAYS - _SUPPLY_ENDS_DAYS_AGO
            if not daily or has_ended or self._stock[product_id] >= max(10, 7 * daily):
                continue
            quantity = max(20, round(30 * daily, -1))
            self._stock[product_id] += int(quantity)
            yield Restock(day, 0.0, product_id, int(quantity))

    def _issues(self, day: int) -> Sequence[CouponIssue]:
        takers = sorted(
            (self._random.random(), coupon_id, user_id)
            for coupon_id, number in self._due_issues(day)
            for user_id in self._new_holders(day, coupon_id, number)
        )
        first_id = self._issued + 1
        self._issued += len(takers)
        return [
            CouponIssue(user_id, day, share, user_coupon_id, coupon_id)
            for user_coupon_id, (share, coupon_id, user_id) in enumerate(takers, start=first_id)
        ]

    def _due_issues(self, day: int) -> Iterator[tuple[int, int]]:
        """How many units of which coupon are issued on a day: evenly over the whole days after its start."""
        for coupon_id, campaign in enumerate(self._assortment.campaigns, start=1):
            since = day - (DAYS - 1 + campaign.coupon.starts_in_days) - 1
            if 0 <= since < campaign.within_days:
                until_yesterday = campaign.taken * since // campaign.within_days
                yield coupon_id, campaign.taken * (since + 1) // campaign.within_days - until_yesterday

    def _new_holders(self, day: int, coupon_id: int, number: int) -> Iterator[int]:
        holders = self._holders[coupon_id]
        wanted = len(holders) + number
        while len(holders) < wanted:
            # The customer with the documented login gets some of every kind.
            user_id = self._customer(day) if holders else 1
            if user_id not in holders:
                holders.add(user_id)
                yield user_id

    def _sales(self, day: int) -> Iterator[Happening]:
        number = self._orders_until[day] - self._sold
        # More orders in the evening than in the morning.
        shares = sorted(self._random.triangular(0.0, 1.0, 0.85) for _ in range(number))
        sizes = self._random.choices(list(LINES), list(LINES.values()), k=number)
        for share, size in zip(shares, sizes, strict=True):
            yield from self._sale(day, share, self._customer(day), self._basket(size))

    def _sale(self, day: int, share: float, user_id: int, lines: Sequence[Line]) -> Iterator[Happening]:
        total_amount = total_of(lines)
        held, discount_amount = self._discount(day, user_id, total_amount)
        paid_amount = total_amount - discount_amount
        yield from self._charges(day, share, user_id, due=paid_amount)
        self._balances[user_id] -= paid_amount
        self._sold += 1
        returned = self._return_of(day, share)
        sale = Sale(
            user_id=user_id,
            day=day,
            share_of_day=share,
            order_id=self._sold,
            lines=lines,
            total_amount=total_amount,
            discount_amount=discount_amount,
            user_coupon_id=held[0] if held else None,
            returned=returned,
            part_back=None if returned else self._part_back(day, share, lines),
        )
        yield sale
        if sale.part_back:
            self._refunds[sale.part_back.at[0]].append(PartRefund(user_id, *sale.part_back.at, sale, sale.part_back))
        if returned:
            self._coming_back[returned[0]].append((Return(user_id, *returned, sale), held))

    def _charges(self, day: int, share: float, user_id: int, *, due: int) -> Iterator[Charge | Goodwill]:
        """Small charges earlier on that day that add up to the amount due."""
        random = self._random.random
        number = int(2 + 5 * random())
        missing = due - self._balances[user_id]
        steps = max(1, -(-missing // (number * CHARGE_STEP_WON)))
        for _ in range(number):
            amount = (steps + int(random() < 0.3)) * CHARGE_STEP_WON
            self._balances[user_id] += amount
            yield Charge(user_id, day, share * random(), amount)
        if random() < _REPAIRED:
            self._balances[user_id] += CHARGE_STEP_WON
            yield Goodwill(user_id, day, share * random(), CHARGE_STEP_WON)

    def _returns(self, day: int) -> Iterator[Return]:
        for entry, held in self._coming_back.pop(day, ()):
            self._balances[entry.user_id] += entry.sale.paid_amount
            for line in entry.sale.lines:
                self._stock[line.product_id] += line.quantity
            if held:
                self._held[entry.user_id].append(held)
            yield entry

    def _return_of(self, day: int, share: float) -> tuple[int, float] | None:
        """The time of an order's cancellation; None if it is not cancelled by today."""
        return _later(day, share, self._random) if self._random.random() < _RETURNED else None

    def _part_back(self, day: int, share: float, lines: Sequence[Line]) -> PartBack | None:
        """What is refunded of an order by today: units of one line, never all units of the order; None for most."""
        random = self._refunding
        if random.random() >= _REFUNDED:
            return None
        at = _later(day, share, random)
        most = sum(line.quantity for line in lines) - 1
        if at is None or not most:
            return None
        line = random.choice(lines)
        restock, reason = random.choice(REASONS)
        return PartBack(line, random.randint(1, min(line.quantity, most)), restock, reason, at)

    def _customer(self, day: int) -> int:
        """A customer who has joined by that day: a few order often, most rarely."""
        share = self._random.random()
        there = self._assortment.customers * (_FIRST_CUSTOMERS + (1 - _FIRST_CUSTOMERS) * day / DAYS)
        return 1 + int(there * share * max(share, 0.02))

    def _basket(self, size: int) -> Sequence[Line]:
        while True:
            wanted = self._random.choices(self._lines, cum_weights=self._popularity, k=size)
            quantities = self._random.choices(list(QUANTITIES), list(QUANTITIES.values()), k=size)
            lines = {lines[1].product_id: lines[quantity] for lines, quantity in zip(wanted, quantities, strict=True)}
            basket = [line for line in lines.values() if line.quantity <= self._stock[line.product_id]]
            for line in basket:
                self._stock[line.product_id] -= line.quantity
            if basket:
                return basket

    def _discount(self, day: int, user_id: int, total_amount: int) -> tuple[Unit | None, int]:
        """Take the customer's first applicable unit of a coupon; returns it and its discount (won)."""
        held = self._held.get(user_id)
        if not held:
            return None, 0
        held[:] = [unit for unit in held if day <= self._last_day_of_use(unit[1])]
        for unit in held:
            discount, least = self._terms[unit[1] - 1]
            if total_amount >= least:
                held.remove(unit)
                return unit, discount.off(total_amount)
        return None, 0

    def _last_day_of_use(self, coupon_id: int) -> int:
        """The last whole day before its expiry."""
        return DAYS - 2 + self._assortment.campaigns[coupon_id - 1].coupon.valid_for_days


def _later(day: int, share: float, random: Random) -> tuple[int, float] | None:
    """A time up to `LONGEST_RETURN_DAYS` after an order; None if it is not over by today."""
    later = int((LONGEST_RETURN_DAYS + 1) * random.random() ** 2)
    if day + later >= DAYS:
        return None
    return day + later, random.random() if later else share + (1 - share) * random.random()


def joined_day(assortment: Assortment, user_id: int) -> float:
    """The day of the year, as a fraction, on which a customer joined; negative for earlier years."""
    return DAYS * ((user_id - 1) / assortment.customers - _FIRST_CUSTOMERS) / (1 - _FIRST_CUSTOMERS)


def _lines(assortment: Assortment) -> Sequence[dict[int, Line]]:
    """All possible order lines, by product and quantity."""
    return [
        {quantity: Line(product_id, product.name, product.price, quantity) for quantity in QUANTITIES}
        for product_id, product in enumerate(assortment.products, start=1)
    ]


def _orders_until(orders: int) -> Sequence[int]:
    """The number of orders by the end of each day; they increase towards the end of the week and of the year."""
    busy = list(accumulate((1 + day / DAYS) * _WEEK[day % len(_WEEK)] for day in range(DAYS)))
    return [round(orders * so_far / busy[-1]) for so_far in busy]
