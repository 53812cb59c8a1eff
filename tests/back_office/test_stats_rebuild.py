"""Rebuilding one day of the statistics: exact, idempotent, recorded, limited in time."""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.idempotency.commit import Idempotency
from products.models import Product
from stats import operations
from stats.errors import TooMuchToRecount
from stats.models import ProcessedEvent, ProductStat
from stats.services import rebuild_day
from stats.tests.conftest import cancel, count_order_events, sent_events, uncommitted, units_counted
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.factories import ProductFactory, StaffFactory, UserFactory, order_of
from tests.shop_state import nothing_changes
from tests.together import PATIENCE_SECONDS, meanwhile, together, wait_until_blocked
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "stats_productstat_rebuild"


@pytest.fixture
def operator() -> Staff:
    return Staff("stats.view_productstat", "stats.rebuild_productstat")


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", stock=1_000)


def today() -> date:
    return timezone.localdate()


def send(staff: Staff, **changes: Any) -> Page:
    return staff.post(PAGE, **{"form_key": uuid4(), "day": today(), "reason": "Counted twice.", **changes})


def test_the_day_is_rebuilt_and_the_result_is_shown(operator: Staff, user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    cancel(order_of(user, {pen: 2}))
    ProductStat.objects.create(product=pen, date=today(), quantity_sold=1_010)
    page = operator.get(PAGE, day=today()).content.decode()
    assert "products that differ: 1 (1,010 units counted, 4 by the orders). Events not counted yet: 3." in page
    answer = send(operator)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/admin/stats/productstat/?from_date={today()}&to_date={today()}"
    assert messages_on(answer) == [
        f"{today()} is rebuilt: products corrected: 1, their units: 1,010 → 4; 3 events were recorded as counted."
    ]
    assert units_counted() == {(pen.pk, today().isoformat()): 4}
    assert count_order_events(events=sent_events()) == 0


def test_it_is_recorded_with_numbers(operator: Staff, user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    send(operator)
    action = StaffAction.objects.get()
    assert (action.actor, action.action, action.subject_type, action.subject_id) == (
        operator.user,
        "Rebuilt a day of the statistics",
        "stats.productstat",
        "",
    )
    assert action.before == {"units": 0}
    assert action.after == {"day": today().isoformat(), "products": 1, "units": 4, "events": 1}


def test_a_correct_day_is_unchanged(operator: Staff, user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    count_order_events(events=sent_events())
    with nothing_changes(apart_from=("idempotency_key", "staff_action")):
        answer = send(operator)
    assert messages_on(answer) == [f"{today()} is rebuilt: nothing differed; 0 events were recorded as counted."]


def test_other_days_are_unchanged(operator: Staff, pen: Product) -> None:
    ProductStat.objects.create(product=pen, date="2026-02-27", quantity_sold=9)
    send(operator, day="2026-02-28")
    assert units_counted() == {(pen.pk, "2026-02-27"): 9}


def test_a_form_sent_twice_rebuilds_once(operator: Staff, user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    opened = fields_of(operator.get(PAGE, day=today()).content.decode())
    opened["reason"] = "Counted twice."
    first = operator.post(PAGE, **opened)
    messages = messages_on(first)
    second = operator.post(PAGE, **opened)
    assert messages_on(second)[-1] == f"Already done, and not repeated. {messages[0]}"
    assert StaffAction.objects.count() == 1


def test_without_a_day_nothing_happens(operator: Staff) -> None:
    for day in ("", "2026-02-30", None):
        with nothing_changes():
            assert list(errors_of(send(operator, day=day))) == ["day"]


def test_viewers_may_not_rebuild(user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    for rights in (("stats.view_productstat", "stats.change_productstat"), ("stats.rebuild_productstat",)):
        staff = Staff(*rights)
        with nothing_changes():
            assert staff.get(PAGE).status_code == 403
            assert send(staff).status_code == 403
    onlooker = Staff("stats.view_productstat").get("stats_productstat_changelist", compare=1, days=7)
    assert "rebuild/" not in onlooker.content.decode()
    assert StaffAction.objects.count() == 0


class TestWhileOrdersFlow:
    def test_concurrent_orders_counts_and_rebuilds_end_exact(self, operator: Staff, user: User, pen: Product) -> None:
        def order_and_cancel_some(number: int) -> None:
            order = order_of(user, {pen: number + 1})
            if number % 3 == 0:
                cancel(order)

        orders: list[Callable[[], object]] = [partial(order_and_cancel_some, number) for number in range(12)]
        counts: list[Callable[[], object]] = [lambda: count_order_events(events=sent_events())] * 6
        rebuilds: list[Callable[[], object]] = [partial(send, operator)] * 6
        together(
            [action for three in zip(orders[::2], counts, rebuilds, strict=True) for action in three] + orders[1::2],
            at_once=5,
        )
        count_order_events(events=sent_events())
        assert units_counted() == {(pen.pk, today().isoformat()): sum(n + 1 for n in range(12) if n % 3)}
        with nothing_changes(apart_from=("idempotency_key", "staff_action")):
            assert "nothing differed" in messages_on(send(operator))[-1]

    def test_it_waits_for_a_running_count(self, operator: Staff, user: User, pen: Product) -> None:
        order_of(user, {pen: 4})
        events = sent_events()
        with (
            uncommitted(lambda: operations.count_orders(events)) as commit,
            meanwhile(lambda: send(operator)) as answer,
        ):
            wait_until_blocked()
            commit()
            assert answer.result(timeout=PATIENCE_SECONDS).status_code == 302
        assert units_counted() == {(pen.pk, today().isoformat()): 4}

    def test_waiting_for_counting_is_limited(self, operator: Staff, user: User, pen: Product) -> None:
        """`lock_timeout` ends the wait; the page shows the refusal, and nothing was changed."""
        order_of(user, {pen: 4})
        events = sent_events()
        with uncommitted(lambda: operations.count_orders(events)), nothing_changes():
            answer = send(operator)
        [sentence] = errors_of(answer)["__all__"]
        assert sentence.startswith("The recount did not end in time, and nothing was changed.")
        assert StaffAction.objects.count() == 0


def test_without_its_record_it_is_rolled_back(user: User, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    order_of(user, {pen: 4})
    monkeypatch.setattr("stats.services.record", lambda *_args, **_named: 1 / 0)
    by = Actor(StaffFactory().pk)
    with nothing_changes(), pytest.raises(ZeroDivisionError):
        rebuild_day(day=today(), by=by, idempotency=Idempotency.none())
    assert ProcessedEvent.objects.count() == 0


def test_a_timeout_leaves_the_day_unchanged(user: User, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    order_of(user, {pen: 4})
    monkeypatch.setattr(operations, "COUNT_ALONE", "SELECT set_config('statement_timeout', '1s', true), %s::text")
    slowly = operations.RECOMPUTE_DAY.replace("ORDER BY product_id", "ORDER BY product_id, pg_sleep(30)::text")
    monkeypatch.setattr(operations, "RECOMPUTE_DAY", slowly)
    by = Actor(StaffFactory().pk)
    with nothing_changes(), pytest.raises(TooMuchToRecount):
        rebuild_day(day=today(), by=by, idempotency=Idempotency.none())
