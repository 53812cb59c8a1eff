"""Migration 0004: recorded event ids without a time are replaced by the current form with a time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from commerce.core import sql
from stats import operations
from stats.models import ProcessedEvent
from stats.tests.conftest import cancel, count_order_events, sent_events
from tests.factories import order_of

if TYPE_CHECKING:
    from balances.models import User
    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)

migration: Any = import_module("stats.migrations.0004_events_are_recorded_with_their_time")
SHORTENED = r"UPDATE processed_event SET event_id = regexp_replace(event_id, ':\d+$', '')"


def migrate() -> None:
    with connection.schema_editor(atomic=False) as editor:
        migration.rename(apps, editor)


def recorded() -> dict[str, Any]:
    return dict(ProcessedEvent.objects.values_list("event_id", "processed_at"))


@pytest.fixture
def counted(user: User, pen: Product) -> dict[str, Any]:
    """Two orders, one of them cancelled, as they are recorded now."""
    order_of(user, {pen: 4})
    cancel(order_of(user, {pen: 1}))
    assert count_order_events(events=sent_events()) == 3
    return recorded()


def test_each_record_keeps_its_time(counted: dict[str, Any]) -> None:
    sql.execute(SHORTENED)
    assert not recorded().keys() & counted.keys()
    migrate()
    assert recorded() == counted


def test_in_pages_and_repeated(counted: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "_PAGE", 1)
    sql.execute(SHORTENED)
    for _ in range(2):
        migrate()
        assert recorded() == counted


def test_the_record_of_a_missing_order_stays(counted: dict[str, Any]) -> None:
    """The cancelled one has been counted; a cancellation of the other never happened."""
    [completed] = [name for name in counted if f"order-cancelled:{name.split(':')[1]}" not in str(counted)]
    never = {"order-completed:999999", f"order-cancelled:{completed.split(':')[1]}"}
    ProcessedEvent.objects.bulk_create(ProcessedEvent(event_id=name) for name in never)
    migrate()
    assert recorded().keys() == counted.keys() | never


def test_an_event_recorded_under_both_ids_is_kept_once(counted: dict[str, Any]) -> None:
    name, at = next(iter(counted.items()))
    ProcessedEvent.objects.create(event_id=name.rpartition(":")[0])
    migrate()
    assert recorded() == counted | {name: at}


def test_nothing_is_counted_again(counted: dict[str, Any]) -> None:
    sql.execute(SHORTENED)
    migrate()
    assert count_order_events(events=sent_events()) == 0
    assert operations.compare_day(timezone.localdate()) == operations.DayComparison((), 0)
