"""A model of the shop in memory: numbers, lists and a clock.

Contains the expected effect or refusal of each request, implemented independently of the shop. It does not use the
database, and shares only the classes of the refusals with the shop.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound
from commerce.audit.record import Staff
from coupons.errors import (
    CouponAlreadyIssued,
    CouponNotFound,
    CouponNotOpen,
    CouponNotUsable,
    CouponSoldOut,
    CouponTermsFixed,
    Unusable,
)
from orders.errors import Excess, OrderNotCancellable, OrderNotFound, OrderNotRefundable, RefundExceedsOrder
from products.errors import OutOfStock, ProductNotFound, Shortage
from tests.properties.clock import Clock

JSON = dict[str, Any]


@dataclass
class Entry:
    """A ledger entry. The database assigns the id, here and below; until then it is 0."""

    user_id: int
    type: str
    amount: int
    balance_after: int
    order_id: int | None
    created_at: datetime
    id: int = 0
    refund_id: int | None = None


@dataclass
class Account:
    id: int
    balance: int = 0
    is_open: bool = True


@dataclass
class Ware:
    id: int
    name: str
    price: int
    stock: int
    for_sale: bool = True


@dataclass(frozen=True)
class Terms:
    """The terms of a coupon, and its expiry."""

    name: str
    discount_type: str
    discount_value: int
    max_discount: int | None
    min_order_amount: int
    total_quantity: int
    issue_starts_at: datetime
    issue_ends_at: datetime
    valid_until: datetime

    def off(self, total: int) -> int:
        """In won. Uses Decimal instead of integer division: the shop rounds with `//`."""
        if self.discount_type == "FIXED":
            return min(self.discount_value, total)
        share = (Decimal(total) * self.discount_value / 100).to_integral_value(ROUND_FLOOR)
        return min(int(share), total, *([] if self.max_discount is None else [self.max_discount]))

    def still_keeps(self, promised: "Terms") -> bool:
        """Whether these terms are at least as good for customers who got the coupon with the terms `promised`."""
        kept = replace(
            promised,
            name=self.name,
            total_quantity=self.total_quantity,
            issue_ends_at=self.issue_ends_at,
            valid_until=self.valid_until,
        )
        return self == kept and self.total_quantity >= promised.total_quantity


@dataclass
class Offer:
    """A coupon and its number of issued units."""

    id: int
    terms: Terms
    issued: int = 0


@dataclass
class Held:
    """A user coupon."""

    user_id: int
    offer: Offer
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    id: int = 0

    def status(self, now: datetime) -> str:
        """As shown to customers."""
        if self.used_at is not None:
            return "USED"
        return "AVAILABLE" if now < self.expires_at else "EXPIRED"


@dataclass
class Purchase:
    user_id: int
    lines: list[JSON]
    total: int
    discount: int
    held: Held | None
    day: date
    created_at: datetime
    cancelled_at: datetime | None = None
    id: int = 0
    refunded: int = 0
    """Won, by refunds."""

    @property
    def status(self) -> str:
        if self.cancelled_at:
            return "CANCELLED"
        is_back = all(line["refundedQuantity"] == line["quantity"] for line in self.lines)
        return "REFUNDED" if is_back else "COMPLETED"

    @property
    def refunded_units(self) -> int:
        return sum(line["refundedQuantity"] for line in self.lines)

    @property
    def paid(self) -> int:
        return self.total - self.discount


@dataclass
class GivenBack:
    """Some units of an order that staff have refunded."""

    purchase: Purchase
    lines: list[JSON]
    restock: bool
    reason: str
    staff_id: int
    created_at: datetime
    order_shown: JSON = field(default_factory=dict)
    """The order as it was then."""
    id: int = 0

    @property
    def user_id(self) -> int:
        return self.purchase.user_id

    @property
    def amount(self) -> int:
        return sum(line["amount"] for line in self.lines)


@dataclass
class Fact:
    """An event: an entry, an issued coupon, a placed, cancelled or refunded order."""

    type: str
    about: Entry | Held | Purchase | GivenBack


@dataclass
class ModelShop:
    clock: Clock
    zone: ZoneInfo
    balance_limit: int
    accounts: dict[int, Account] = field(default_factory=dict)
    wares: dict[int, Ware] = field(default_factory=dict)
    offers: dict[int, Offer] = field(default_factory=dict)
    ledger: list[Entry] = field(default_factory=list)
    movements: list[JSON] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    refunds: list[GivenBack] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.clock.now

    def charge(self, user_id: int, amount: int, *, by_staff: bool = False) -> Entry:
        account = self._open_account(user_id)
        if account.balance + amount > self.balance_limit:
            raise BalanceLimitExceeded(balance=account.balance, limit=self.balance_limit)
        return self._book(account, "ADJUSTMENT" if by_staff else "CHARGE", amount, None)

    def issue(self, user_id: int, coupon_id: int) -> Held:
        offer = self.offers.get(coupon_id)
        if offer is None:
            raise CouponNotFound(coupon_id)
        self._open_account(user_id)
        if any(each.user_id == user_id and each.offer is offer for each in self.held):
            raise CouponAlreadyIssued
        if self.now < offer.terms.issue_starts_at or self.now >= offer.terms.issue_ends_at:
            raise CouponNotOpen
        if offer.issued == offer.terms.total_quantity:
            raise CouponSoldOut
        offer.issued += 1
        held = Held(user_id, offer, self.now, offer.terms.valid_until)
        self.held.append(held)
        self.facts.append(Fact("coupon-issued", held))
        return held

    def place_order(self, user_id: int, quantities: Mapping[int, int], user_coupon_id: int | None) -> Purchase:
        for product_id in quantities:
            if product_id not in self.wares or not self.wares[product_id].for_sale:
                raise ProductNotFound(product_id)
        wanted = [(self.wares[product_id], quantity) for product_id, quantity in quantities.items()]
        short = [Shortage(ware.id, quantity, ware.stock) for ware, quantity in wanted if quantity > ware.stock]
        if short:
            raise OutOfStock(sorted(short, key=lambda each: each.product_id))
        total = sum(ware.price * quantity for ware, quantity in wanted)
        held = None if user_coupon_id is None else self._usable(user_id, user_coupon_id, total)
        discount = held.offer.terms.off(total) if held else 0
        account = self._open_account(user_id)
        if account.balance < total - discount:
            raise InsufficientBalance(balance=account.balance, required=total - discount)
        if held:
            held.used_at = self.now
        lines = [_line(ware, quantity) for ware, quantity in wanted]
        day = self.now.astimezone(self.zone).date()
        purchase = Purchase(user_id, lines, total, discount, held, day, self.now)
        self.purchases.append(purchase)
        return purchase

    def settle(self, purchase: Purchase) -> None:
        """The rest of `place_order`, after the order has its id."""
        for line in purchase.lines:
            self._move(line["productId"], "SALE", -line["quantity"], order_id=purchase.id)
        self._book(self.accounts[purchase.user_id], "PAYMENT", -purchase.paid, purchase.id)
        self.facts.append(Fact("order-completed", purchase))

    def cancel_order(self, order_id: int, owner_id: int | None) -> Purchase:
        purchase = next((each for each in self.purchases if each.id == order_id), None)
        if purchase is None or owner_id not in (None, purchase.user_id):
            raise OrderNotFound(order_id)
        if purchase.status != "COMPLETED" or purchase.refunded_units:
            raise OrderNotCancellable(order_id, purchase.status)
        purchase.cancelled_at = self.now
        for line in purchase.lines:
            self._move(line["productId"], "RETURN", line["quantity"], order_id=order_id)
        if purchase.held:
            purchase.held.used_at = None
        self._book(self.accounts[purchase.user_id], "REFUND", purchase.paid, order_id)
        self.facts.append(Fact("order-cancelled", purchase))
        return purchase

    def refund(self, order_id: int, quantities: Mapping[int, int], *, restock: bool, by: Staff) -> GivenBack:
        purchase = next((each for each in self.purchases if each.id == order_id), None)
        if purchase is None:
            raise OrderNotFound(order_id)
        if purchase.status != "COMPLETED":
            raise OrderNotRefundable(order_id, purchase.status)
        left = {line["productId"]: line["quantity"] - line["refundedQuantity"] for line in purchase.lines}
        excesses = [
            Excess(product_id, units, left.get(product_id, 0))
            for product_id, units in quantities.items()
            if units > left.get(product_id, 0)
        ]
        if excesses:
            raise RefundExceedsOrder(order_id, excesses)
        lines = [self._give_back(purchase, product_id, units) for product_id, units in quantities.items()]
        refund = GivenBack(purchase, lines, restock, by.reason, by.id, self.now)
        self.refunds.append(refund)
        return refund

    def settle_refund(self, refund: GivenBack) -> None:
        """The rest of `refund`, once it has its number."""
        purchase = refund.purchase
        if refund.restock:
            for line in refund.lines:
                self._move(line["productId"], "RETURN", line["quantity"], order_id=purchase.id, refund_id=refund.id)
        if purchase.status == "REFUNDED" and purchase.held:
            purchase.held.used_at = None
        entry = self._book(self.accounts[purchase.user_id], "REFUND", refund.amount, purchase.id)
        entry.refund_id = refund.id
        self.facts.append(Fact("order-refunded", refund))

    @staticmethod
    def _give_back(purchase: Purchase, product_id: int, units: int) -> JSON:
        """The share that all goods returned so far have of what was paid, less what was refunded before."""
        line = next(line for line in purchase.lines if line["productId"] == product_id)
        line["refundedQuantity"] += units
        value = sum(each["unitPrice"] * each["refundedQuantity"] for each in purchase.lines)
        share = Decimal(purchase.paid) * value / (purchase.total or 1)
        amount = int(share.to_integral_value(ROUND_FLOOR)) - purchase.refunded
        purchase.refunded += amount
        return {"productId": product_id, "quantity": units, "amount": amount}

    def open_ware(self, ware: Ware, *, actor_id: int) -> None:
        self.wares[ware.id] = ware
        opening, ware.stock = ware.stock, 0
        self._move(ware.id, "OPENING", opening, actor_id=actor_id)

    def adjust_stock(self, product_id: int, delta: int, actor_id: int, note: str) -> int:
        ware = self.wares.get(product_id)
        if ware is None:
            raise ProductNotFound(product_id)
        if ware.stock + delta < 0:
            raise OutOfStock([Shortage(product_id, -delta, ware.stock)])
        self._move(product_id, "ADJUSTMENT", delta, actor_id=actor_id, note=note)
        return ware.stock

    def change_terms(self, offer: Offer, terms: Terms) -> None:
        if offer.issued and not terms.still_keeps(offer.terms):
            raise CouponTermsFixed
        if terms.valid_until > offer.terms.valid_until:
            for held in self.held:
                if held.offer is offer:
                    held.expires_at = max(held.expires_at, terms.valid_until)
        offer.terms = terms

    def units_sold(self) -> dict[tuple[int, date], int]:
        """By product and day of the order, without cancelled and refunded units."""
        units: Counter[tuple[int, date]] = Counter()
        for purchase in self.purchases:
            for line in purchase.lines:
                kept = 0 if purchase.cancelled_at else line["quantity"] - line["refundedQuantity"]
                units[line["productId"], purchase.day] += kept
        return {place: quantity for place, quantity in units.items() if quantity}

    def _open_account(self, user_id: int) -> Account:
        account = self.accounts.get(user_id)
        if account is None or not account.is_open:
            raise UserNotFound(user_id)
        return account

    def _usable(self, user_id: int, user_coupon_id: int, total: int) -> Held:
        held = next((each for each in self.held if (each.id, each.user_id) == (user_coupon_id, user_id)), None)
        if held is None:
            raise CouponNotUsable(Unusable.NOT_OWNED)
        status = held.status(self.now)
        if status != "AVAILABLE":
            raise CouponNotUsable(Unusable[status])
        if total < held.offer.terms.min_order_amount:
            raise CouponNotUsable(Unusable.BELOW_MINIMUM)
        return held

    def _book(self, account: Account, entry_type: str, amount: int, order_id: int | None) -> Entry:
        account.balance += amount
        entry = Entry(account.id, entry_type, amount, account.balance, order_id, self.now)
        self.ledger.append(entry)
        self.facts.append(Fact("balance-changed", entry))
        return entry

    def _move(
        self,
        product_id: int,
        reason: str,
        quantity: int,
        *,
        order_id: int | None = None,
        refund_id: int | None = None,
        actor_id: int | None = None,
        note: str = "",
    ) -> None:
        self.wares[product_id].stock += quantity
        self.movements.append(
            {
                "product_id": product_id,
                "reason": reason,
                "quantity": quantity,
                "order_id": order_id,
                "refund_id": refund_id,
                "actor_id": actor_id,
                "note": note,
                "created_at": self.now,
            }
        )


def _line(ware: Ware, quantity: int) -> JSON:
    return {
        "productId": ware.id,
        "productName": ware.name,
        "unitPrice": ware.price,
        "quantity": quantity,
        "subtotal": ware.price * quantity,
        "refundedQuantity": 0,
    }
