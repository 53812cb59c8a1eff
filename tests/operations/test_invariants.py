"""Each kind of damage is found by its invariant only."""

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from django.db import connection, transaction

from commerce.core import sql
from commerce.invariants.check import INVARIANTS, invariants, violation_of
from commerce.invariants.events import NOTHING_IDLES
from orders.events import order_completed
from tests.operations.busy_shop import BusyShop, busy_shop
from tests.operations.damages import DAMAGES, Damage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop() -> Iterator[BusyShop]:
    """A shop that the test damages, with disabled triggers; everything is rolled back."""
    shop = busy_shop()
    with transaction.atomic():
        yield shop
        transaction.set_rollback(True)


def broken() -> dict[str, Sequence[str]]:
    """The violated invariants, with their examples."""
    found = [violation_of(invariant) for invariant in invariants(quiet_system=True)]
    return {violation.invariant.name: violation.examples for violation in found if violation}


def test_an_undamaged_shop_has_no_violations(shop: BusyShop) -> None:
    assert broken() == {}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: f"{damage.invariant}-{DAMAGES.index(damage)}")
def test_damage_is_found_by_exactly_its_invariant(shop: BusyShop, damage: Damage) -> None:
    names = ids_in(shop)
    for statement in damage.sql.format(**names).split(";"):
        sql.execute(statement)
        connection.check_constraints()
    found = broken()
    assert list(found) == [damage.invariant]
    finding = damage.finding.format(
        **names, newest_entry=newest("user_balance_tx"), new_message=newest("outbox_message")
    )
    assert any(example.startswith(finding) for example in found[damage.invariant]), found


def test_every_invariant_has_its_damage() -> None:
    damaged = {damage.invariant for damage in DAMAGES}
    assert damaged | {NOTHING_IDLES.name} == {invariant.name for invariant in INVARIANTS}


def test_unfinished_work_is_no_violation_in_a_live_shop(shop: BusyShop) -> None:
    sql.execute("UPDATE outbox_message SET sent_at = NULL WHERE id = %s", [ids_in(shop)["newest_message"]])
    assert list(broken()) == ["nothing_is_pending"]
    live = invariants(quiet_system=False)
    assert [invariant.name for invariant in live if violation_of(invariant)] == []


def test_facts_before_the_oldest_delivery_need_no_message(shop: BusyShop) -> None:
    event_id = order_completed(shop.last).id
    sql.execute("DELETE FROM outbox_message WHERE event_id = %s AND destination = 'kafka'", [event_id])
    assert list(broken()) == ["facts_have_messages"]
    sql.execute("UPDATE outbox_message SET sent_at = now() + interval '1 hour'")
    assert broken() == {}


def test_an_idle_transaction_is_found() -> None:
    with psycopg.connect(**connection.get_connection_params()) as other:
        backend = f"backend {other.info.backend_pid}: idle in transaction since "
        assert backend not in idling(seconds=0)
        other.execute("SELECT 1")
        assert backend in idling(seconds=0)
        assert backend not in idling(seconds=10)
        other.rollback()
        assert backend not in idling(seconds=0)


def idling(*, seconds: float) -> str:
    # pg_stat_activity is cached within a transaction until its snapshot is cleared.
    sql.execute("SELECT pg_stat_clear_snapshot()")
    violation = violation_of(NOTHING_IDLES, idle_seconds=seconds)
    return "\n".join(violation.examples) if violation else ""


def newest(table: str) -> int:
    row = sql.fetch_one(f"SELECT max(id) FROM {table}")  # noqa: S608  # a name from this file
    assert row is not None
    return int(row[0])


def ids_in(shop: BusyShop) -> dict[str, object]:
    """The values of the placeholders in the SQL of the damages."""
    row = sql.fetch_one(
        """
        SELECT (SELECT id FROM user_balance_tx WHERE order_id = %(last)s),
               (SELECT id FROM user_coupon WHERE user_id = %(joon)s),
               (SELECT id FROM idempotency_key),
               (SELECT conname FROM pg_constraint WHERE conrelid = 'user_balance_tx'::regclass AND contype = 'f')
        """,
        {"last": shop.last.pk, "joon": shop.joon.pk},
    )
    assert row is not None
    last_payment, other_held, answer, ledger_user_fk = row
    return {
        "mina": shop.mina.pk,
        "joon": shop.joon.pk,
        "pen": shop.pen.pk,
        "coupon": shop.held.coupon_id,
        "held": shop.held.pk,
        "other_held": other_held,
        "with_coupon": shop.with_coupon.pk,
        "last": shop.last.pk,
        "cancelled": shop.cancelled.pk,
        "dana": shop.refunded.user_id,
        "chair": shop.chair.pk,
        "gift": shop.gift.pk,
        "refunded": shop.refunded.pk,
        "damaged": newest("refund"),
        "last_payment": last_payment,
        "newest_message": newest("outbox_message"),
        "answer": answer,
        "ledger_user_fk": ledger_user_fk,
        "today": shop.last.ordered_date,
    }
