"""The ledger in the back-office: search, filters, exports; read-only."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from balances.admin.ledger import LedgerAdmin
from balances.models import LedgerEntry, User
from balances.selectors import ledger_of_order
from balances.services import adjust_balance
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from orders.models import Order
from orders.services import cancel_order
from tests.back_office.staff import Staff
from tests.factories import ProductFactory, StaffFactory, UserFactory, charged, order_of
from tests.plans import plan_of
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "balances_ledgerentry_changelist"
VIEW = "balances.view_ledgerentry"


@pytest.fixture
def viewer() -> Staff:
    return Staff(VIEW)


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina")


@pytest.fixture
def order(mina: User) -> Order:
    charged(mina, 10_000)
    return order_of(mina, {ProductFactory(price=3_000): 1})


def credit(user: User, amount: int, reason: str) -> LedgerEntry:
    by = Actor(StaffFactory(username=f"clerk of {user.username}").pk, reason)
    entry = adjust_balance(user_id=user.pk, amount=amount, by=by, idempotency=Idempotency.none())
    return LedgerEntry.objects.get(pk=entry.id)


def shown(staff: Staff, **query: Any) -> list[tuple[str, int]]:
    answer = staff.get(LIST, **query)
    assert answer.status_code == 200
    return [(entry.type, entry.amount) for entry in answer.context["cl"].result_list]


def test_a_user_name_finds_the_entries_of_the_account(viewer: Staff, mina: User) -> None:
    charged(mina, 5)
    charged(UserFactory(username="minam"), 7)
    assert shown(viewer, q="mina") == [("CHARGE", 5)]
    assert shown(viewer, q="Mina") == [("CHARGE", 5)]
    assert shown(viewer, q="min") == []


def test_an_order_number_finds_its_payment_and_its_refund(viewer: Staff, order: Order) -> None:
    cancel_order(order_id=order.pk, owner_id=None, idempotency=Idempotency.none())
    assert shown(viewer, q=str(order.pk)) == [("REFUND", 3_000), ("PAYMENT", -3_000)]
    assert shown(viewer, q=str(order.pk + 1)) == []
    assert shown(viewer, q="9" * 40) == []


@pytest.mark.parametrize("is_vacuumed", [False, True], ids=["new", "vacuumed"])
def test_the_entries_of_an_order_use_the_partial_indexes(*, is_vacuumed: bool) -> None:
    """There is one partial index for payments and one for refunds; a condition on a list of types would use neither.

    The plan must not depend on autovacuum.
    """
    if is_vacuumed:
        sql.execute("VACUUM (ANALYZE) user_balance_tx")
    plan = plan_of(*ledger_of_order(42).query.sql_with_params())
    assert "user_balance_tx_one_payment_per_order" in plan
    assert "user_balance_tx_each_refund_once" in plan


def test_types_are_filtered(viewer: Staff, order: Order) -> None:
    credit(order.user, 50, "Late parcel.")
    assert shown(viewer, type__exact="ADJUSTMENT") == [("ADJUSTMENT", 50)]
    assert shown(viewer, type__exact="PAYMENT") == [("PAYMENT", -3_000)]


def test_days_are_in_the_shops_zone_and_inclusive(viewer: Staff, mina: User) -> None:
    for at in (
        "2026-03-01 14:59:59.999999",
        "2026-03-01 15:00:00",
        "2026-03-02 14:59:59.999999",
        "2026-03-02 15:00:00",
    ):
        charged(mina, 1 + mina.ledger.count(), at=datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert shown(viewer, created_at_from="2026-03-02", created_at_to="2026-03-02") == [("CHARGE", 3), ("CHARGE", 2)]
    assert shown(viewer, created_at_from="2026-03-03") == [("CHARGE", 4)]
    assert shown(viewer, created_at_to="2026-03-01") == [("CHARGE", 1)]


@pytest.mark.parametrize("name", ["created_at_from", "created_at_to", "amount_from", "amount_to"])
@pytest.mark.parametrize("value", ["abc", "2026-02-30", "--", "\x00"])
def test_invalid_days_and_amounts_are_ignored_and_dropped(name: str, value: str) -> None:
    staff = Staff(superuser=True)
    assert staff.get(LIST, **{name: value}).status_code in (302, 400)
    with nothing_changes():
        answer = staff.client.get("/admin/balances/ledgerentry/export.csv", {name: value})
    assert answer.status_code == 400


def test_amounts_are_filtered_from_and_to(viewer: Staff, mina: User) -> None:
    for amount in (10, 20, 30):
        charged(mina, amount)
    assert shown(viewer, amount_from="20") == [("CHARGE", 30), ("CHARGE", 20)]
    assert shown(viewer, amount_to="20") == [("CHARGE", 20), ("CHARGE", 10)]
    assert shown(viewer, amount_from="11", amount_to="29") == [("CHARGE", 20)]


def test_an_amount_alone_searches_the_last_days_only(viewer: Staff, mina: User) -> None:
    """Days are indexed; amounts are not."""
    long_ago = timezone.now() - timedelta(days=32)
    charged(mina, 10, at=long_ago)
    charged(mina, 11)
    assert shown(viewer, amount_from="10") == [("CHARGE", 11)]
    assert shown(viewer, amount_from="10", user__id__exact=mina.pk) == [("CHARGE", 11), ("CHARGE", 10)]
    day = f"{timezone.localtime(long_ago):%Y-%m-%d}"
    assert shown(viewer, amount_from="10", created_at_from=day) == [("CHARGE", 11), ("CHARGE", 10)]


class TestSortedByAmount:
    """Only available for few entries, because amounts are not indexed."""

    COLUMN = LedgerAdmin.list_display.index("moved")

    @pytest.fixture
    def amounts(self, mina: User) -> list[int]:
        for amount in (300, 100, 200):
            charged(mina, amount)
        return [100, 200, 300]

    def sorted(self, viewer: Staff, **query: Any) -> list[int]:
        return [amount for _type, amount in shown(viewer, o=str(self.COLUMN), **query)]

    def test_of_one_account(self, viewer: Staff, mina: User, amounts: list[int]) -> None:
        charged(UserFactory(), 150)
        assert self.sorted(viewer, q="mina") == self.sorted(viewer, user__id__exact=mina.pk) == amounts
        falling = [amount for _type, amount in shown(viewer, o=f"-{self.COLUMN}", q="mina")]
        assert falling == amounts[::-1]

    @pytest.mark.parametrize("period", ["today", "7", "30", "month"])
    def test_of_some_days(self, viewer: Staff, amounts: list[int], period: str) -> None:
        assert self.sorted(viewer, created_at_days=period) == amounts

    @pytest.mark.parametrize(("days", "is_sorted"), [(1, True), (31, True), (32, False), (400, False)])
    def test_of_so_many_days(self, viewer: Staff, amounts: list[int], days: int, *, is_sorted: bool) -> None:
        today = timezone.localdate()
        query = {"created_at_from": today - timedelta(days=days - 1), "created_at_to": today}
        assert self.sorted(viewer, **query) == (amounts if is_sorted else [200, 100, 300])

    @pytest.mark.parametrize(
        "query",
        [{}, {"q": " "}, {"type__exact": "CHARGE"}, {"created_at_days": "century"}, {"created_at_from": "2026-01-01"}],
    )
    def test_otherwise_as_if_it_was_not_asked_for(
        self, viewer: Staff, amounts: list[int], query: dict[str, str]
    ) -> None:
        assert self.sorted(viewer, **query) == [200, 100, 300]

    def test_its_heading_is_a_link_only_then(self, viewer: Staff, amounts: list[int]) -> None:
        link = f"o={self.COLUMN}"
        assert link not in viewer.get(LIST).content.decode()
        assert link in viewer.get(LIST, q="mina").content.decode()

    @pytest.mark.parametrize(
        ("query", "index"), [({"q": "mina"}, "user_balance_tx_"), ({"created_at_days": "7"}, "user_balance_tx_time")]
    )
    def test_an_index_finds_what_is_sorted(
        self, viewer: Staff, amounts: list[int], query: dict[str, str], index: str
    ) -> None:
        # As autovacuum may leave it at any time. The plan must not depend on it.
        sql.execute("""UPDATE pg_class SET reltuples = 2, relpages = 3 WHERE oid = '"user"'::regclass""")
        with statements() as asked:
            self.sorted(viewer, **query)
        [listed] = [each for each in asked if 'FROM "user_balance_tx"' in each and '"amount" ASC' in each]
        plan = plan_of(listed.replace("%", "%%"), [])
        assert index in plan, plan
        assert "Seq Scan on user_balance_tx" not in plan, plan


def test_only_adjustments_show_a_reason(viewer: Staff, order: Order) -> None:
    credit(order.user, 50, "Late parcel.")
    credit(UserFactory(username="joon"), 60, "Wrong colour.")
    rows = viewer.get(LIST).context["cl"].result_list
    assert [(row.amount, row.reason, row.adjusted_by) for row in rows] == [
        (60, "Wrong colour.", "clerk of joon"),
        (50, "Late parcel.", "clerk of mina"),
        (-3_000, None, None),
        (10_000, None, None),
    ]
    page = viewer.get(LIST).content.decode()
    assert "Late parcel." in page


def test_an_entry_shows_its_hash_its_order_and_who_adjusted(viewer: Staff, order: Order) -> None:
    payment = LedgerEntry.objects.get(order_id=order.pk)
    page = viewer.get("balances_ledgerentry_change", payment.pk).content.decode()
    assert bytes(payment.entry_hash).hex() in page
    assert f"/admin/orders/order/{order.pk}/change/" in page
    entry = credit(order.user, 50, "Late parcel.")
    page = viewer.get("balances_ledgerentry_change", entry.pk).content.decode()
    assert "Late parcel." in page
    assert "clerk of mina" in page
    assert "+₩50" in page


def test_the_list_takes_a_constant_number_of_queries(viewer: Staff, mina: User) -> None:
    charged(mina, 5)
    with statements() as few:
        shown(viewer)
    for number in range(5):
        credit(UserFactory(username=f"customer {number}"), 1, "Sorry.")
    with statements() as more:
        shown(viewer)
    assert len(more) == len(few) <= 8


def test_it_is_read_only() -> None:
    boss = Staff(superuser=True)
    entry = charged(UserFactory(), 5)
    with nothing_changes():
        assert boss.get("balances_ledgerentry_add").status_code == 403
        assert boss.post("balances_ledgerentry_change", entry.pk, amount=7).status_code == 403
        assert boss.post("balances_ledgerentry_delete", entry.pk, post="yes").status_code == 403


class TestExports:
    """Exports contain the rows of the list, require the permission, and are recorded."""

    def lines(self, answer: Any) -> list[list[str]]:
        assert answer.status_code == 200
        return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))

    def test_the_ledger_is_exported_as_filtered(self, order: Order) -> None:
        entry = credit(order.user, 50, "=cmd()")
        clerk = Staff(VIEW, "balances.export_ledgerentry")
        page = "/admin/balances/ledgerentry/export.csv"
        headings, row = self.lines(clerk.client.get(page, {"type__exact": "ADJUSTMENT"}))
        cells = dict(zip(headings, row, strict=True))
        assert (cells["user name"], cells["type"], cells["amount (won)"], cells["reason"]) == (
            "mina",
            "ADJUSTMENT",
            "50",
            "'=cmd()",
        )
        assert cells["hash"] == bytes(entry.entry_hash).hex()
        record = StaffAction.objects.get(action="Exported")
        assert (record.actor_id, record.subject_type, record.subject_id) == (clerk.user.pk, "balances.ledgerentry", "")
        assert record.after == {"rows": 1, "filter": "type__exact=ADJUSTMENT", "format": "csv"}

    def test_an_old_day_is_exported_by_its_range_of_ids(self, mina: User) -> None:
        """Otherwise PostgreSQL would read millions of rows, beginning with the newest."""
        old = charged(mina, 1, at=datetime(2026, 3, 1, tzinfo=UTC))
        charged(mina, 2)
        clerk = Staff(VIEW, "balances.export_ledgerentry")
        with statements() as ran:
            days = {"created_at_from": "2026-03-01", "created_at_to": "2026-03-01"}
            lines = self.lines(clerk.client.get("/admin/balances/ledgerentry/export.csv", days))
        assert [line[0] for line in lines[1:]] == [str(old.pk)]
        assert any(f'"id" BETWEEN {old.pk} AND {old.pk}' in each for each in ran)

    def test_accounts_are_exported_without_passwords(self) -> None:
        UserFactory(username="mina", email="mina@example.com", balance=5_000, password="tangerine-4711")
        clerk = Staff("balances.view_user", "balances.export_user")
        answer = clerk.client.get("/admin/balances/user/export.csv", {"q": "mina"})
        headings, row = self.lines(answer)
        cells = dict(zip(headings, row, strict=True))
        assert (cells["user name"], cells["e-mail"], cells["balance (won)"]) == ("mina", "mina@example.com", "5000")
        assert b"pbkdf2" not in answer.content
        assert "password" not in headings

    @pytest.mark.parametrize("model", ["user", "ledgerentry"])
    def test_viewers_may_not_export(self, model: str) -> None:
        onlooker = Staff(f"balances.view_{model}", "balances.change_user")
        assert "export.csv" not in onlooker.get(f"balances_{model}_changelist").content.decode()
        with nothing_changes():
            assert onlooker.client.get(f"/admin/balances/{model}/export.csv").status_code == 403
