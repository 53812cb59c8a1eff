"""Deleting the records of counted events: only once all are counted, and repeats still add nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from stats import operations
from stats.models import CountedUntil, ProcessedEvent, ProductStat
from stats.services import backfill_product_stats, compare_days, forget_counted
from stats.tests.conftest import cancel, count_order_events, sent_events, uncommitted, units_counted
from tests.books import broken_rules
from tests.factories import order_of
from tests.together import meanwhile, together, wait_until_blocked

if TYPE_CHECKING:
    from balances.models import User
    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)


def later() -> datetime:
    """A time after everything so far, including the counting."""
    return timezone.now() + timedelta(seconds=1)


def test_counted_events_are_deleted_and_the_invariants_still_hold(user: User, pen: Product) -> None:
    kept, taken_back = order_of(user, {pen: 4}), order_of(user, {pen: 2})
    cancel(taken_back)
    count_order_events(events=sent_events())
    before = units_counted()
    assert forget_counted(before=later()).events == 3
    assert ProcessedEvent.objects.count() == 0
    assert units_counted() == before
    assert broken_rules() == set()
    # The check still detects a wrong number.
    ProductStat.objects.update(quantity_sold=5)
    assert broken_rules() == {"statistics_are_counted_orders"}
    assert kept.pk


def test_a_repeat_of_a_deleted_event_is_not_counted_again(user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    events = sent_events()
    count_order_events(events=events)
    before = units_counted()
    forget_counted(before=later())
    assert count_order_events(events=events) == 0
    assert units_counted() == before
    assert ProcessedEvent.objects.count() == 0


def test_without_counted_until_a_repeat_counts_twice(user: User, pen: Product) -> None:
    """The control."""
    order_of(user, {pen: 4})
    events = sent_events()
    count_order_events(events=events)
    forget_counted(before=later())
    CountedUntil.objects.all().delete()
    assert count_order_events(events=events) == 1
    assert set(units_counted().values()) == {8}
    assert "statistics_are_counted_orders" in broken_rules()


def test_an_uncounted_event_keeps_later_rows(user: User, pen: Product) -> None:
    order_of(user, {pen: 1})
    late = order_of(user, {pen: 2})
    order_of(user, {pen: 3})
    events = sent_events()
    count_order_events(events=[event for event in events if event.source_id != late.pk])
    forgotten = forget_counted(before=later())
    # It was counted after the uncounted fact happened, so its row is later as well.
    assert forgotten.held_up_at == late.created_at
    assert CountedUntil.objects.get().moment == late.created_at
    assert count_order_events(events=events) == 1
    assert set(units_counted().values()) == {6}
    assert forget_counted(before=later()).held_up_at is None
    assert ProcessedEvent.objects.count() == 0
    assert broken_rules() == set()


def test_a_later_cancellation_counts_on_the_orders_day(user: User, pen: Product) -> None:
    old = order_of(user, {pen: 4})
    count_order_events(events=sent_events())
    moment = timezone.now()
    forget_counted(before=moment)
    cancel(old)
    assert count_order_events(events=sent_events()) == 1
    assert units_counted() == {}
    assert broken_rules() == set()


def test_a_backfill_finds_nothing_to_record(user: User, pen: Product) -> None:
    order = order_of(user, {pen: 4})
    count_order_events(events=sent_events())
    forget_counted(before=later())
    day = order.ordered_date
    assert compare_days(from_date=day, to_date=day)[day].events_recorded == 0
    ProductStat.objects.all().delete()
    backfill_product_stats(from_date=day, to_date=day, dry_run=False)
    assert set(units_counted().values()) == {4}
    assert ProcessedEvent.objects.count() == 0
    assert broken_rules() == set()


def test_the_moment_never_moves_back(user: User, pen: Product) -> None:
    order_of(user, {pen: 4})
    count_order_events(events=sent_events())
    moment = later()
    forget_counted(before=moment)
    forget_counted(before=moment - timedelta(days=1))
    assert CountedUntil.objects.get().moment == moment


def test_it_waits_for_a_running_count(user: User, pen: Product) -> None:
    """Otherwise that count could use the previous moment and count events whose rows are deleted by then."""
    order_of(user, {pen: 4})
    events = sent_events()
    count_order_events(events=events)
    with (
        uncommitted(partial(operations.count_orders, events)) as commit,
        meanwhile(partial(forget_counted, before=later())) as forgetting,
    ):
        wait_until_blocked()
        assert ProcessedEvent.objects.count() == 1
        commit()
        forgetting.result()
    assert ProcessedEvent.objects.count() == 0
    assert set(units_counted().values()) == {4}


def test_concurrent_runs_while_events_are_counted_again(user: User, pen: Product) -> None:
    for _ in range(5):
        order_of(user, {pen: 1})
    events = sent_events()
    count_order_events(events=events)
    moment = later()

    def forget() -> int:
        return forget_counted(before=moment).events

    def count() -> int:
        return count_order_events(events=events)

    together([forget, count] * 4)
    assert ProcessedEvent.objects.count() == 0
    assert set(units_counted().values()) == {5}
    assert broken_rules() == set()


def test_the_command_deletes_according_to_the_setting(
    user: User, pen: Product, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    order_of(user, {pen: 4})
    count_order_events(events=sent_events())

    def deleted() -> int:
        call_command("archive", json=True)
        printed = json.loads(capsys.readouterr().out)
        assert printed["held_up_at"] is None
        return int(printed["processed_event"])

    assert deleted() == 0
    settings.PROCESSED_EVENT_RETENTION_HOURS = 0
    assert deleted() == 0
    settings.PROCESSED_EVENT_RETENTION_HOURS = 1e-9
    assert deleted() == 1
    assert ProcessedEvent.objects.count() == 0
