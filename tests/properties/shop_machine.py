"""The actions of Hypothesis on the shop and its model, in any order.

Contains the choices and their probabilities: most requests succeed, and some are refused. The expected results are
defined in the model.
"""

import copy
from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from commerce.audit.record import Staff
from commerce.idempotency.commit import Idempotency
from coupons.models import Coupon
from coupons.services import create_coupon, save_coupon
from products.models import Product
from products.services import adjust_stock, create_product, save_product
from tests.properties.clock import INSTANT
from tests.properties.model_shop import JSON, Offer, Terms, Ware
from tests.properties.two_shops import API, BALANCE_LIMIT_WON, KEY, SERVICE, TwoShops
from tests.properties.wishes import Buy, Charge, GiveBack, Issue, TakeBack

T = TypeVar("T")
Cart = dict[int | None, int]


class Around(Enum):
    """A time, the last one before it, the first one after it."""

    BEFORE = -INSTANT
    THEN = timedelta(0)
    AFTER = INSTANT


NOBODY = 999_999_999
STAFF = 2

PEOPLE = st.integers(0, 2)
SOMEBODY = st.sampled_from([*[0, 1] * 5, STAFF, STAFF, None])
PRODUCTS = st.sampled_from([*[0, 1, 2] * 8, None])
COUPONS = st.sampled_from([*[0, 1] * 6, None])
CARTS = st.dictionaries(PRODUCTS, st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=2)
STOCKS = st.sampled_from([9, 9, 6, 3, 1, 0])
WHICH = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, None])
"""The index of an existing row, counted from the newest; None: a row that does not exist."""
WHOSE = st.sampled_from([0, 0, 0, 1])
"""0: the caller's own; 1: another customer's."""
PRICES = st.sampled_from([333, 999, 1_000, 2_500, 1, 0])
FIXED = st.tuples(st.just("FIXED"), st.sampled_from([1, 500, 1_000, 100_000]))
PERCENT = st.tuples(st.just("PERCENT"), st.sampled_from([1, 33, 50, 100]))
CAPS = st.sampled_from([1, 300, None, 5_000])
LEAST = st.sampled_from([0, 0, 1, 1_000, 3_000])
UNITS = st.integers(1, 3)
SPANS = st.sampled_from([INSTANT, timedelta(seconds=1), timedelta(hours=30), timedelta(days=3)])
SINCE = st.sampled_from([timedelta(days=-1), timedelta(0), timedelta(hours=1)])
MOVES = st.sampled_from(
    [
        INSTANT,
        timedelta(seconds=1),
        timedelta(hours=1),
        timedelta(hours=24) - INSTANT,
        timedelta(hours=24),
        -INSTANT,
        timedelta(hours=-1),
        timedelta(days=-1),
    ]
)
EDGES = st.sampled_from(["issue_ends_at", "issue_starts_at"])
AROUND = st.sampled_from([Around.THEN, Around.BEFORE, Around.AFTER])
OFFERS, TODAY = "offers", "today"
PAGES = st.sampled_from([OFFERS, TODAY, "AVAILABLE", "USED", "EXPIRED"])
ONE, WHOLE, REST, TOO_MANY, ANOTHER = (
    "one",
    "all that was bought",
    "all that is left",
    "one too many",
    "another product",
)
RETURNS = st.sampled_from([ONE, ONE, ONE, REST, REST, WHOLE, TOO_MANY, ANOTHER])
DOORS = st.sampled_from([SERVICE, SERVICE, API, KEY])


class ShopMachine(TwoShops):
    """Two customers, a staff member, three products, two coupons."""

    @initialize(
        shelves=st.tuples(*[st.tuples(PRICES, STOCKS)] * 3),
        kinds=st.tuples(FIXED, PERCENT),
        limits=st.tuples(*[st.tuples(CAPS, st.sampled_from([None, None, None, 0, 1]), st.sampled_from([1, 2]))] * 2),
        pockets=st.tuples(*[st.sampled_from([10_000, BALANCE_LIMIT_WON, 5_000, 1])] * 3),
        gifts=st.tuples(*[st.tuples(st.sampled_from([True, True, True, False]), EDGES, st.none() | AROUND)] * 2),
        bought=st.sampled_from([None, None, None, *Around]),
        whose=WHOSE,
        regret=st.booleans(),
    )
    def open(
        self, *, shelves: Any, kinds: Any, limits: Any, pockets: Any, gifts: Any, bought: Any, whose: int, regret: bool
    ) -> None:
        """A shop with rows of every kind, so that no step depends on an earlier one."""
        for number, (price, stock) in enumerate(shelves):
            product = Product(name=f"Product {number}", price=price)
            create_product(product, opening_stock=stock, by=Staff(self._staff_id), idempotency=Idempotency.none())
            self.products.append(product)
            self.shop.open_ware(Ware(product.pk, product.name, price, stock), actor_id=self._staff_id)
        for number, (kind, (cap, above_price, units)) in enumerate(zip(kinds, limits, strict=True)):
            now = self.clock.now
            times = (now - timedelta(days=1), now + timedelta(hours=30), now + timedelta(days=3))
            least = 0 if above_price is None else shelves[1][0] + above_price
            most = cap if kind[0] == "PERCENT" else None
            terms = Terms(f"Coupon {number}", kind[0], kind[1], most, least, units, *times)
            coupon = create_coupon(Coupon(**vars(terms)), by=Staff(self._staff_id), idempotency=Idempotency.none())
            self.coupons.append(coupon)
            self.shop.offers[coupon.pk] = Offer(coupon.pk, terms)
        for user, won in zip(self.people, pockets, strict=True):
            self.ask(Charge(user.pk, user.pk, won), KEY)
        self.ask(Buy(self.people[0].pk, self._lines({0: 1}), None), KEY)
        opened_at = self.clock.now
        for who, (given, at, around) in enumerate(gifts):
            if given:
                self.issue(who, who, at, around, SERVICE)
        for which in range(len(self.shop.held)):
            self.buy_with_coupon({1: 1}, which, whose, bought, SERVICE)
        self.clock.now = opened_at
        if regret and self.shop.purchases:
            self.take_back(0, None, SERVICE)

    # --- Requests of customers ----------------------------------------------------------------------------------------

    @rule(who=SOMEBODY, won=st.sampled_from([1, 999, 2_500, 5_000, "all there may be", "one more"]), door=DOORS)
    def charge(self, who: int | None, won: int | str, door: str) -> None:
        user_id = self._user_id(who)
        self.ask(Charge(self._caller_id(who), user_id, self._won(user_id, won)), door)

    @rule(who=SOMEBODY, which=COUPONS, at=EDGES, around=st.none() | AROUND, door=DOORS)
    def issue(self, who: int | None, which: int | None, at: str, around: Around | None, door: str) -> None:
        """Now, or when the coupon's issue period starts or ends."""
        # An unknown account has no token, so the service is called.
        door = SERVICE if who is None else door
        if which is None:
            self.ask(Issue(self._user_id(who), NOBODY), door)
            return
        offer = self.shop.offers[self.coupons[which].pk]
        self._move_clock_to(getattr(offer.terms, at), around)
        self.ask(Issue(self._user_id(who), offer.id), door)

    @rule(who=SOMEBODY, cart=CARTS, door=DOORS)
    def buy(self, who: int | None, cart: Cart, door: str) -> None:
        door = SERVICE if who is None else door
        self.ask(Buy(self._user_id(who), self._lines(cart), None), door)

    @precondition(lambda self: self.shop.held)
    @rule(cart=CARTS, which=WHICH, whose=WHOSE, around=st.none() | AROUND, door=DOORS)
    def buy_with_coupon(self, cart: Cart, which: int | None, whose: int, around: Around | None, door: str) -> None:
        """The caller's own coupon, sometimes another's or a missing one; now, or when it expires."""
        held = _newest(self.shop.held, which)
        if held is None:
            self.ask(Buy(self._staff_id, self._lines(cart), NOBODY), door)
            return
        self._move_clock_to(held.expires_at, around)
        owner = next(number for number, user in enumerate(self.people) if user.pk == held.user_id)
        caller_id = self.people[(owner + whose) % len(self.people)].pk
        self.ask(Buy(caller_id, self._lines(cart), held.id), door)

    @precondition(lambda self: self.shop.purchases)
    @rule(which=WHICH, who=st.sampled_from([None, None, None, *range(3)]), door=DOORS)
    def take_back(self, which: int | None, who: int | None, door: str) -> None:
        """Usually the caller's own order."""
        purchase = _newest(self.shop.purchases, which)
        caller_id = purchase.user_id if purchase and who is None else self.people[who or 0].pk
        order_id = NOBODY if purchase is None else purchase.id
        self.ask(TakeBack(caller_id, caller_id == self._staff_id, order_id), door)

    @precondition(lambda self: self.shop.purchases)
    @rule(which=WHICH, what=RETURNS, restock=st.sampled_from([True, True, False]), door=DOORS)
    def give_back(self, which: int | None, what: str, restock: bool, door: str) -> None:
        """Staff refund some of the lines."""
        purchase = _newest(self.shop.purchases, which)
        lines = purchase.lines if purchase else []
        left = {line["productId"]: line["quantity"] - line["refundedQuantity"] for line in lines}
        first = lines[-1]["productId"] if lines else NOBODY
        units = {
            ONE: {first: 1},
            WHOLE: {line["productId"]: line["quantity"] for line in lines},
            REST: {product_id: units for product_id, units in left.items() if units},
            TOO_MANY: {first: left.get(first, 0) + 1},
            ANOTHER: {first: 1, NOBODY: 1},
        }[what] or {first: 1}
        order_id = NOBODY if purchase is None else purchase.id
        self.ask(GiveBack(self._staff_id, order_id, tuple(units.items()), restock), door)

    @rule(
        which=st.integers(0, 3),
        other_won=st.sampled_from([None, None, 1, BALANCE_LIMIT_WON + 1]),
        around=st.none() | AROUND,
    )
    def use_a_key_again(self, which: int, other_won: int | None, around: Around | None) -> None:
        """A client repeats a request, or uses its key for another one; soon, or a day later."""
        (caller_id, key), kept = list(self.answers.items())[-1 - which % len(self.answers)]
        self._move_clock_to(kept.given_at + timedelta(hours=24), around)
        wish = kept.wish if other_won is None else Charge(caller_id, caller_id, other_won)
        self.ask_with_key(wish, caller_id, key)

    # --- Actions of staff ---------------------------------------------------------------------------------------------

    @rule(which=PRODUCTS, delta=st.sampled_from([6, 3, 1, -1, -4]))
    def adjust(self, which: int | None, delta: int) -> None:
        product_id = NOBODY if which is None else self.products[which].pk
        by = Staff(self._staff_id, "Counted again.")
        change = (product_id, delta, by.id, by.reason)
        self.both(
            lambda: adjust_stock(product_id=product_id, delta=delta, by=by, idempotency=Idempotency.none()),
            lambda: self.shop.adjust_stock(*change),
        )

    @rule(which=st.integers(0, 2), price=PRICES, withdrawn=st.sampled_from([False, False, True]))
    def edit_product(self, which: int, price: int, withdrawn: bool) -> None:
        """On a page that was opened with the shop: its stock is outdated."""
        page = copy.copy(self.products[which])
        ware = self.shop.wares[page.pk]
        ware.price, ware.for_sale = price, not (withdrawn and ware.for_sale)
        page.price, page.is_active = ware.price, ware.for_sale
        save_product(page, by=Staff(self._staff_id))

    @rule(
        which=st.integers(0, 1),
        kind=st.none() | FIXED | PERCENT,
        more=st.fixed_dictionaries(
            {},
            optional={"max_discount": CAPS, "min_order_amount": LEAST, "total_quantity": UNITS},
        ),
        window=st.none() | st.tuples(SINCE, SPANS, SPANS),
    )
    def edit_coupon(self, which: int, kind: Any, more: JSON, window: Any) -> None:
        """On a page that was opened with the shop: its count is outdated."""
        offer = self.shop.offers[self.coupons[which].pk]
        terms = replace(offer.terms, **more)
        if kind:
            terms = replace(terms, discount_type=kind[0], discount_value=kind[1])
        if terms.discount_type == "FIXED":
            terms = replace(terms, max_discount=None)
        if window:
            starts_at = self.clock.now + window[0] if not offer.issued else terms.issue_starts_at
            ends_at = max(starts_at, self.clock.now) + window[1]
            terms = replace(
                terms, issue_starts_at=starts_at, issue_ends_at=ends_at, valid_until=ends_at + window[2] - INSTANT
            )
        page = copy.copy(self.coupons[which])
        for name, value in vars(terms).items():
            setattr(page, name, value)
        self.both(
            lambda: save_coupon(page, by=Staff(self._staff_id)) and None, lambda: self.shop.change_terms(offer, terms)
        )

    @rule(who=st.integers(0, 1), closed=st.sampled_from([False, True]))
    def edit_account(self, who: int, closed: bool) -> None:
        """On a page that was opened with the shop: its balance is outdated."""
        account = self.shop.accounts[self.people[who].pk]
        account.is_open = not (closed and account.is_open)
        page = copy.copy(self.people[who])
        page.is_active = account.is_open
        page.save()

    # --- Time passes --------------------------------------------------------------------------------------------------

    @rule(by=MOVES | AROUND)
    def move_clock(self, by: timedelta | Around) -> None:
        """By some duration, or to midnight."""
        if isinstance(by, timedelta):
            self.clock.now += by
        else:
            self._move_clock_to(self.clock.next_midnight(), by)

    # --- Reads of customers -------------------------------------------------------------------------------------------

    @rule(who=PEOPLE, page=PAGES)
    def look(self, who: int, page: str) -> None:
        user_id, shopper, now = self.people[who].pk, self.shoppers[who], self.clock.now
        if page == OFFERS:
            offers = [self.shop.offers[coupon.pk] for coupon in reversed(self.coupons)]
            is_open = [each for each in offers if each.terms.issue_starts_at <= now < each.terms.issue_ends_at]
            shown = shopper.get("/api/coupons").json["results"]
            self.same(shown, [self.wire.offer(offer) for offer in is_open])
        elif page == TODAY:
            today = _day(now, self.shop.zone)
            query = {"from": today.isoformat(), "to": today.isoformat(), "pageSize": 100}
            shown = shopper.get("/api/users/balance/history", query).json["results"]
            entries = [each for each in reversed(self.shop.ledger) if each.user_id == user_id]
            of_today = [each for each in entries if _day(each.created_at, self.shop.zone) == today]
            self.same(shown, [self.wire.entry(each) for each in of_today])
        else:
            shown = shopper.get("/api/users/coupons", status=page).json["results"]
            held = [each for each in reversed(self.shop.held) if each.user_id == user_id]
            self.same(shown, [self.wire.held(each) for each in held if each.status(now) == page])

    @rule(who=PEOPLE, read_from=st.sampled_from(["database", "cache"]))
    def look_at_balance(self, who: int, read_from: str) -> None:
        account = self.shop.accounts[self.people[who].pk]
        with override_settings(BALANCE_READ=read_from):
            answer = self.shoppers[who].get(f"/api/balance/{account.id}")
        # The cache does not contain whether an account is closed; the balance must be correct anyway.
        if account.is_open or (read_from == "cache" and answer.status == 200):
            self.same(answer.json, {"userId": account.id, "balance": account.balance})
        else:
            self.same(answer.outcome, (404, "user_not_found"))

    @property
    def _staff_id(self) -> int:
        return self.people[STAFF].pk

    def _user_id(self, who: int | None) -> int:
        return NOBODY if who is None else self.people[who].pk

    def _caller_id(self, who: int | None) -> int:
        """Staff request an account that does not exist."""
        return self._staff_id if who is None else self.people[who].pk

    def _won(self, user_id: int, won: int | str) -> int:
        if isinstance(won, int):
            return won
        account = self.shop.accounts.get(user_id)
        room = BALANCE_LIMIT_WON - (account.balance if account else 0)
        return max(room if won == "all there may be" else room + 1, 1)

    def _move_clock_to(self, moment: datetime, around: Around | None) -> None:
        if around is not None:
            self.clock.now = moment + around.value

    def _lines(self, cart: Cart) -> tuple[tuple[int, int], ...]:
        return tuple((NOBODY if one is None else self.products[one].pk, quantity) for one, quantity in cart.items())


def _newest(there_are: list[T], which: int | None) -> T | None:
    return None if which is None else there_are[-1 - which % len(there_are)]


def _day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()
