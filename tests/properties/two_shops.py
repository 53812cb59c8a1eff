"""The shop and the model: opened together, called with the same requests, compared.

Contains the comparison. The requests are chosen by `shop_machine`.
"""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from django_redis import get_redis_connection
from hypothesis.stateful import RuleBasedStateMachine, invariant

from balances.models import User
from commerce.core import sql
from commerce.core.errors import DomainError
from commerce.invariants.check import invariants, snapshot, violation_of
from commerce.outbox.dispatcher import Dispatcher, Drained
from commerce.outbox.routes import PRODUCT_STATS
from coupons.models import Coupon
from products.models import Product
from stats.models import ProductStat
from stats.operations import compare_day
from stats.services import count_messages
from tests.factories import StaffFactory, UserFactory
from tests.properties.clock import stopped_at
from tests.properties.model_shop import JSON, Account, ModelShop
from tests.properties.rows import clear_all, difference, rows_that_are, rows_that_should_be
from tests.properties.wire import STATUS_OF, Wire
from tests.properties.wishes import Wish
from tests.shopper import Answer, Shopper

T = TypeVar("T")

# A second before midnight, so that the day changes soon and often.
OPENING_TIME = datetime(2026, 3, 1, 23, 59, 59)  # noqa: DTZ001  # the shop's zone is added when the shop opens
BALANCE_LIMIT_WON = 20_000
SERVICE, API, KEY = "service", "api", "api with a key"
"""The entry points for requests."""


class Disagreement(AssertionError):
    """The shop and the model differ."""


@dataclass(frozen=True)
class Kept:
    """The response to a request with a key."""

    wish: Wish
    status: int
    content: bytes
    given_at: datetime


class TwoShops(RuleBasedStateMachine):
    """Two customers and a staff member in an empty shop. Every example starts with an empty database."""

    met: ClassVar[Counter[str]] = Counter()
    """How often each outcome occurred, over all examples: outcomes that did not occur were not tested."""

    def __init__(self) -> None:
        super().__init__()
        self._until_the_end = ExitStack()
        clear_all()
        get_redis_connection("default").flushdb()
        opening_time = timezone.make_aware(OPENING_TIME, timezone.get_default_timezone())
        self.clock = self._until_the_end.enter_context(stopped_at(opening_time))
        self._until_the_end.enter_context(
            override_settings(
                BALANCE_LIMIT_WON=BALANCE_LIMIT_WON,
                PRODUCT_STATS_MODE="inline",
                WRITES_PER_SECOND=0,
                COUPON_ISSUES_PER_SECOND=0,
            )
        )
        self.shop = ModelShop(self.clock, ZoneInfo(settings.TIME_ZONE), BALANCE_LIMIT_WON)
        self.wire = Wire(self.shop)
        self.answers: dict[tuple[int, str], Kept] = {}
        self.people: list[User] = [UserFactory(), UserFactory(), StaffFactory()]
        self.shoppers = [Shopper(user) for user in self.people]
        self.products: list[Product] = []
        self.coupons: list[Coupon] = []
        for user in self.people:
            self.shop.accounts[user.pk] = Account(user.pk)

    @invariant()
    def every_row_is_the_models(self) -> None:
        self.met["step"] += 1
        are = rows_that_are()
        for entry, row in zip(self.shop.ledger, are["user_balance_tx"], strict=False):
            entry.id = entry.id or row["id"]
        keys = [
            {"caller_id": caller_id, "key": key, "status": kept.status, "created_at": kept.given_at}
            for (caller_id, key), kept in sorted(self.answers.items())
        ]
        if wrong := difference(are, rows_that_should_be(self.shop, keys)):
            self.disagree(wrong)

    def teardown(self) -> None:
        try:
            # An error in a step is reported by that step.
            if sys.exc_info()[0] is None:
                self._statistics_are_the_models()
                self._books_add_up()
        finally:
            self._until_the_end.close()

    def _statistics_are_the_models(self) -> None:
        outcome = [each for each in rows_that_are()["outbox_message"] if each["destination"] == PRODUCT_STATS]
        self.same(Dispatcher(PRODUCT_STATS).drain(), Drained(sent=len(outcome)))
        units = ProductStat.objects.exclude(quantity_sold=0).values_list("product_id", "date", "quantity_sold")
        self.same({(product_id, day): sold for product_id, day, sold in units}, self.shop.units_sold())
        payloads = sql.fetch_all(
            "SELECT event_id, payload FROM outbox_message WHERE type LIKE 'order-%%' ORDER BY id DESC", {}
        )
        self.same(count_messages(payloads={name: payload.encode() for name, payload in payloads}).events, 0)
        for day in {purchase.day for purchase in self.shop.purchases}:
            backfill = compare_day(day)
            self.same((backfill.differences, backfill.events_recorded), ((), 0))

    def _books_add_up(self) -> None:
        # As the dispatcher leaves an idle system; long ago, so that a message is required for every fact since then.
        sql.execute("UPDATE outbox_message SET sent_at = '2000-01-01'")
        with snapshot():
            violations = [violation_of(each) for each in invariants(quiet_system=True)]
        if broken := [each for each in violations if each]:
            self.disagree(str(broken))

    def ask(self, wish: Wish, door: str) -> None:
        """Call both shops. The results must be equal, and refusals must have the same class and fields."""
        if door == KEY:
            key = f"key-{len(self.answers)}"
            self.ask_with_key(wish, wish.caller_id, key)
        elif door == API:
            self._compare_answer(wish, self._post(wish, key=None))
        else:
            outcome = _outcome(wish.by_service)
            self.same(_named(outcome), _named(self._predict(wish, outcome)))

    def ask_with_key(self, wish: Wish, caller_id: int, key: str) -> None:
        """Call the API: the first response is replayed for 24 hours, and another request with its key is refused."""
        answer = self._post(wish, key=key)
        kept = self.answers.get((caller_id, key))
        if kept is None or kept.given_at <= self.clock.now - timedelta(hours=24):
            self.same(answer.replayed, False)
            self._compare_answer(wish, answer)
            # A key that is used again after its expiry has a new row.
            self.answers.pop((caller_id, key), None)
            self.answers[caller_id, key] = Kept(wish, answer.status, answer.content, self.clock.now)
        elif kept.wish.request == wish.request:
            self.same((answer.status, answer.content, answer.replayed), (kept.status, kept.content, True))
            self.met["replayed"] += 1
        else:
            self.same((answer.outcome, answer.replayed), ((422, "idempotency_key_reused"), False))
            self.met["idempotency_key_reused"] += 1

    def _post(self, wish: Wish, *, key: str | None) -> Answer:
        shopper = next(
            shopper for user, shopper in zip(self.people, self.shoppers, strict=True) if user.pk == wish.caller_id
        )
        path, body = wish.request
        return shopper.post(path, body, key=key)

    def _predict(self, wish: Wish, outcome: JSON | DomainError) -> JSON | DomainError:
        effect = _outcome(lambda: wish.in_model(self.shop))
        if isinstance(effect, DomainError):
            self.met[effect.code] += 1
            return effect
        if isinstance(outcome, DomainError):
            self.disagree(f"{wish} was refused: {_named(outcome)}")
        self.met[type(wish).__name__] += 1
        return wish.agreed(self.shop, effect, outcome)

    def _compare_answer(self, wish: Wish, answer: Answer) -> None:
        body = answer.json
        if answer.status == 200:
            self.same(body, _named(self._predict(wish, body)))
            return
        effect = _outcome(lambda: wish.in_model(self.shop))
        if not isinstance(effect, DomainError):
            self.disagree(f"{wish} was refused: {answer}")
        self.met[effect.code] += 1
        expected = {**effect.fields, "code": effect.code, "status": STATUS_OF[effect.code]}
        self.same({name: body.get(name) for name in expected} | {"status": answer.status}, expected)

    def both(self, ask: Callable[[], Any], ask_model: Callable[[], Any]) -> None:
        """Staff actions, which have no API."""
        outcome, predicted = _outcome(ask), _outcome(ask_model)
        self.same(_named(outcome), _named(predicted))
        self.met[predicted.code if isinstance(predicted, DomainError) else "by staff"] += 1

    def same(self, is_: object, should_be: object) -> None:
        if is_ != should_be:
            self.disagree(f"is {is_}, should be {should_be}")

    @staticmethod
    def disagree(why: str) -> NoReturn:
        raise Disagreement(why)


def _outcome(ask: Callable[[], T]) -> T | DomainError:
    try:
        return ask()
    except DomainError as refusal:
        return refusal


def _named(outcome: Any) -> Any:
    """The comparable part of an outcome: a refusal's class and its fields."""
    return (type(outcome), vars(outcome)) if isinstance(outcome, DomainError) else outcome
