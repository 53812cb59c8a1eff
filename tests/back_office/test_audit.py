"""Audit records of staff actions: who, what, which row, before, after and why, in the transaction of the action."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.http import HttpResponse
from django.utils import timezone

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.audit.record import record
from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from coupons.models import Coupon
from orders.models import Order
from products.models import Product
from stats.models import DeadLetter
from tests.back_office.staff import Page, Staff
from tests.factories import ProductFactory, UserFactory
from tests.operations.busy_shop import BusyShop, busy_shop
from tests.plans import plan_of
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

WHY = "Because of the parcel."
PASSWORD = {"usable_password": "true", "password1": "tangerine-4711", "password2": "tangerine-4711"}


@pytest.fixture
def boss() -> Staff:
    return Staff(superuser=True)


@pytest.fixture
def shop(boss: Staff) -> BusyShop:
    return busy_shop()


def actions_of(staff: Staff) -> list[StaffAction]:
    """The actions of this member of staff, oldest first."""
    return list(StaffAction.objects.filter(actor=staff.user).order_by("id"))


@dataclass(frozen=True)
class Case:
    """An action of a page, its audit record, and a refused attempt."""

    do: Callable[[Staff, BusyShop], Page]
    action: str
    subject: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    reason: str = ""
    refused: Callable[[Staff, BusyShop], Page] | None = None
    count: int = field(default=1)


def change_user(staff: Staff, shop: BusyShop, **typed: Any) -> Page:
    return staff.press("balances_user_change", shop.mina.pk, **typed)


def set_password(staff: Staff, shop: BusyShop, **typed: Any) -> Page:
    return staff.post("auth_user_password_change", shop.mina.pk, **{**PASSWORD, **typed})


def add_group(staff: Staff, _shop: BusyShop, **typed: Any) -> Page:
    some = Permission.objects.filter(codename="view_order").values_list("pk", flat=True)
    return staff.press("auth_group_add", **{"name": "Night shift", "permissions": list(some), **typed})


def change_group(staff: Staff, _shop: BusyShop, **typed: Any) -> Page:
    group = Group.objects.create(name="Night shift")
    return staff.press("auth_group_change", group.pk, **{"name": "Day shift", "permissions": [], **typed})


def adjust_balance(staff: Staff, shop: BusyShop, amount_won: int = 700) -> Page:
    typed = {"direction": "credit", "amount_won": amount_won, "reason": WHY, "confirmed": "True"}
    return staff.press("balances_user_adjust", shop.mina.pk, **typed)


def cancel_order(staff: Staff, order: Order) -> Page:
    return staff.press("orders_order_cancel", order.pk, reason=WHY)


def adjust_stock(staff: Staff, shop: BusyShop, delta: int = -2) -> Page:
    return staff.press("products_product_adjust_stock", shop.pen.pk, delta=delta, reason=WHY)


def add_product(staff: Staff, _shop: BusyShop, price: int = 900) -> Page:
    return staff.press("products_product_add", name="Eraser", description="", price=price, opening_stock=3)


def change_product(staff: Staff, shop: BusyShop, price: int = 3_300) -> Page:
    return staff.press("products_product_change", shop.pen.pk, price=price)


def import_products(staff: Staff, shop: BusyShop, price: str = "3400") -> Page:
    text = f"id,name,price\n{shop.pen.pk},{shop.pen.name},{price}\n"
    file = SimpleUploadedFile("products.csv", text.encode(), "text/csv")
    sent = staff.post("products_product_import", file=file)
    assert sent.status_code == 302, sent.context["form"].errors
    return staff.client.post(sent.headers["Location"], {"reason": WHY})


def add_coupon(staff: Staff, _shop: BusyShop, discount_value: int = 10) -> Page:
    now = timezone.localtime()
    typed = {"name": "Autumn", "discount_type": "PERCENT", "discount_value": discount_value, "min_order_amount": 0}
    for name, day in (("issue_starts_at", 1), ("issue_ends_at", 2), ("valid_until", 3)):
        moment = now + timedelta(days=day)
        typed |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": "12:00:00"}
    return staff.press("coupons_coupon_add", **{**typed, "total_quantity": 5})


def change_coupon(staff: Staff, _shop: BusyShop, total_quantity: int = 50) -> Page:
    coupon = Coupon.objects.get()
    return staff.press("coupons_coupon_change", coupon.pk, total_quantity=total_quantity)


def stop_coupon(staff: Staff, _shop: BusyShop, reason: str = WHY) -> Page:
    return staff.press("coupons_coupon_stop", Coupon.objects.get().pk, reason=reason)


def rebuild(staff: Staff, shop: BusyShop, day: str | None = None) -> Page:
    sql.execute("UPDATE product_stat SET quantity_sold = quantity_sold + 1")
    return staff.press("stats_productstat_rebuild", reason=WHY, day=day or f"{shop.last.ordered_date}")


def replay(staff: Staff, _shop: BusyShop) -> Page:
    message = OutboxMessage.objects.filter(type="order-completed", destination="kafka").latest("id")
    DeadLetter.objects.update(replayed_at=None, payload=message.payload.encode(), topic="order-completed")
    letter = DeadLetter.objects.get()
    return staff.post("stats_deadletter_changelist", action="replay", reason=WHY, _selected_action=[letter.pk])


def send_again(staff: Staff, _shop: BusyShop) -> Page:
    OutboxMessage.objects.update(sent_at=None, parked_at=timezone.now(), attempts=12)
    parked = OutboxMessage.objects.latest("id")
    return staff.post("outbox_outboxmessage_changelist", action="send_again", reason=WHY, _selected_action=[parked.pk])


def export(staff: Staff, model: str) -> Page:
    return staff.get(f"{model}_export", "csv")


CASES: dict[str, Case] = {
    "an account is added": Case(
        lambda staff, shop: staff.post("balances_user_add", username="newcomer", **PASSWORD),
        *("Added", "balances.user"),
        after=("username",),
        refused=lambda staff, shop: staff.post("balances_user_add", username="new comer", **PASSWORD),
    ),
    "an account is changed": Case(
        lambda staff, shop: change_user(staff, shop, email="a@b.kr"),
        *("Changed", "balances.user", ("email",), ("email",)),
        refused=lambda staff, shop: change_user(staff, shop, email="nothing"),
    ),
    "a password is set": Case(
        set_password,
        *("Password changed", "balances.user"),
        refused=lambda staff, shop: set_password(staff, shop, password2="other"),
    ),
    "a group is added": Case(
        add_group,
        *("Added", "auth.group"),
        after=("name", "permissions"),
        refused=lambda staff, shop: add_group(staff, shop, name=""),
    ),
    "a group is changed": Case(
        change_group,
        *("Changed", "auth.group", ("name",), ("name",)),
        refused=lambda staff, shop: change_group(staff, shop, name=""),
    ),
    "a balance is adjusted": Case(
        adjust_balance,
        *("Balance credited", "balances.user", ("balance",), ("balance", "ledger entry"), WHY),
        refused=lambda staff, shop: adjust_balance(staff, shop, 10**9),
    ),
    "an order is cancelled": Case(
        lambda staff, shop: cancel_order(staff, shop.last),
        *("Cancelled and refunded", "orders.order", ("status",), ("status",), WHY),
        refused=lambda staff, shop: staff.post("orders_order_cancel", shop.cancelled.pk, reason=WHY),
    ),
    "a stock is adjusted": Case(
        adjust_stock,
        *("Stock adjusted", "products.product", ("stock",), ("stock",), WHY),
        refused=lambda staff, shop: adjust_stock(staff, shop, -1_000),
    ),
    "a product is added": Case(
        add_product,
        *("Added", "products.product"),
        after=("name", "price"),
        refused=lambda staff, shop: add_product(staff, shop, -1),
    ),
    "a product is changed": Case(
        change_product,
        *("Changed", "products.product", ("price",), ("price",)),
        refused=lambda staff, shop: change_product(staff, shop, -1),
    ),
    "a product is imported": Case(
        import_products,
        *("Imported", "products.product", ("price",), ("price",), WHY),
        refused=lambda staff, shop: import_products(staff, shop, "much"),
    ),
    "a coupon is added": Case(
        add_coupon,
        *("Added", "coupons.coupon"),
        after=("name", "total_quantity"),
        refused=lambda staff, shop: add_coupon(staff, shop, 101),
    ),
    "a coupon is changed": Case(
        change_coupon,
        *("Changed", "coupons.coupon", ("total_quantity",), ("total_quantity",)),
        refused=lambda staff, shop: change_coupon(staff, shop, 1),
    ),
    "a coupon is stopped": Case(
        stop_coupon,
        *("Stopped", "coupons.coupon", ("issue_ends_at",), ("issue_ends_at",), WHY),
        refused=lambda staff, shop: stop_coupon(staff, shop, " "),
    ),
    "a day is rebuilt": Case(
        rebuild,
        *("Rebuilt a day of the statistics", "stats.productstat"),
        reason=WHY,
        refused=lambda staff, shop: rebuild(staff, shop, "someday"),
    ),
    "a letter is replayed": Case(
        replay,
        *("Replayed", "stats.deadletter"),
        reason=WHY,
        refused=lambda staff, shop: staff.post(
            "stats_deadletter_changelist", action="replay", reason=WHY, _selected_action=[2**62]
        ),
    ),
    "a message is sent again": Case(
        send_again,
        *("Sent again", "outbox.outboxmessage", ("attempts", "parked_at"), ("attempts", "parked_at"), WHY),
        refused=lambda staff, shop: staff.post(
            "outbox_outboxmessage_changelist", action="send_again", reason=WHY, _selected_action=[2**62]
        ),
    ),
    **{
        f"{model} is exported": Case(
            lambda staff, shop, model=model: export(staff, model),  # type: ignore[misc]  # mypy knows no defaults here
            *("Exported", model.replace("_", ".")),
            after=("rows", "filter", "format"),
            refused=lambda staff, shop, model=model: staff.client.get(  # type: ignore[misc]  # the same
                f"/admin/{model.replace('_', '/')}/export.nothing"
            ),
        )
        for model in (
            *("balances_user", "balances_ledgerentry", "orders_order", "products_product", "products_stockmovement"),
            *("coupons_coupon", "coupons_usercoupon", "stats_productstat"),
        )
    },
}


@pytest.mark.parametrize("name", CASES)
def test_an_action_is_recorded_completely(boss: Staff, shop: BusyShop, name: str) -> None:
    case = CASES[name]
    answer = case.do(boss, shop)
    assert answer.status_code in (200, 302)
    found = actions_of(boss)
    assert [(each.action, each.subject_type, each.reason) for each in found] == [
        (case.action, case.subject, case.reason)
    ]
    assert set(case.before) <= set(found[0].before)
    assert set(case.after) <= set(found[0].after)
    recorded = json.dumps([found[0].before, found[0].after])
    for secret in ("pbkdf2", "tangerine-4711", "password1", User.objects.latest("pk").password):
        assert secret not in recorded


@pytest.mark.parametrize("name", CASES)
def test_a_refused_action_writes_no_record(boss: Staff, shop: BusyShop, name: str) -> None:
    refused = CASES[name].refused
    assert refused is not None
    before = StaffAction.objects.count()
    assert refused(boss, shop).status_code in (200, 302, 403)
    assert StaffAction.objects.count() == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.action != "Exported"])
def test_the_page_of_a_row_shows_its_history(boss: Staff, shop: BusyShop, name: str) -> None:
    case = CASES[name]
    case.do(boss, shop)
    [written] = actions_of(boss)
    if not written.subject_id:
        return
    history = boss.get(f"{case.subject.replace('.', '_')}_history", written.subject_id)
    page = history.content.decode()
    assert boss.user.username in page
    assert written.in_words in page
    assert written.reason in page


class TestTheBook:
    """Records cannot be changed, and are written in the transaction of the action."""

    @pytest.fixture
    def written(self) -> StaffAction:
        with transaction.atomic():
            return record(
                Actor(UserFactory().pk, WHY), "Changed", ProductFactory(), before={"price": 1}, after={"price": 2}
            )

    @pytest.mark.parametrize("statement", ["UPDATE staff_action SET reason = 'none'", "DELETE FROM staff_action"])
    def test_update_and_delete_are_refused(self, written: StaffAction, statement: str) -> None:
        with pytest.raises(DatabaseError, match="What staff did stays written"):
            sql.execute(statement)
        assert StaffAction.objects.get().reason == WHY

    def test_the_trigger_refuses_them(self, written: StaffAction) -> None:
        with transaction.atomic():
            sql.execute("ALTER TABLE staff_action DISABLE TRIGGER staff_action_is_append_only")
            assert sql.execute("UPDATE staff_action SET reason = 'none'") == 1
            transaction.set_rollback(True)

    def test_a_record_is_rolled_back_with_its_action(self) -> None:
        pen, actor_id = ProductFactory(price=1), UserFactory().pk

        @transaction.atomic
        def change_and_fail() -> None:
            Product.objects.filter(pk=pen.pk).update(price=2)
            record(Actor(actor_id), "Changed", pen)
            raise RuntimeError

        with pytest.raises(RuntimeError):
            change_and_fail()
        assert StaffAction.objects.count() == 0

    def test_nothing_is_recorded_outside_of_a_transaction(self) -> None:
        with pytest.raises(transaction.TransactionManagementError):
            record(Actor(UserFactory().pk), "Changed", ProductFactory())

    def test_a_password_and_its_record_are_one_transaction(self, boss: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
        """Django's page for the password of another user opens no transaction."""
        customer = UserFactory()

        def fails(*_args: object, **_values: object) -> None:
            raise RuntimeError

        monkeypatch.setattr("commerce.staff_pages.pages.record", fails)
        with nothing_changes(), pytest.raises(RuntimeError):
            boss.post("auth_user_password_change", customer.pk, **PASSWORD)


class TestThePage:
    """Records are found by day, actor and action."""

    @pytest.fixture
    def reader(self) -> Staff:
        return Staff("audit.view_staffaction")

    @pytest.fixture
    def written(self) -> dict[str, StaffAction]:
        def one(name: str, action: str, number: int) -> StaffAction:
            actor, _new = User.objects.get_or_create(username=name)
            with transaction.atomic():
                return record(Actor(actor.pk, WHY), action, Product(pk=number), before={"price": 1}, after={"price": 2})

        ProductFactory(id=7)
        return {"a": one("sora", "Changed", 7), "b": one("jimin", "Changed", 8), "c": one("sora", "Stock adjusted", 7)}

    def shown(self, reader: Staff, **query: Any) -> set[int]:
        answer: HttpResponse = reader.get("audit_staffaction_changelist", **query)
        assert answer.status_code == 200
        return {action.pk for action in answer.context["cl"].result_list}  # type: ignore[attr-defined]

    def test_is_filtered_by_person_action_and_day(self, reader: Staff, written: dict[str, StaffAction]) -> None:
        a, b, c = (written[name].pk for name in "abc")
        assert self.shown(reader) == {a, b, c}
        assert self.shown(reader, actor=written["a"].actor_id) == {a, c}
        assert self.shown(reader, action="Changed") == {a, b}
        today = f"{timezone.localdate()}"
        assert self.shown(reader, acted_at_from=today, action="Stock adjusted") == {c}
        assert self.shown(reader, acted_at_to="2020-01-01") == set()
        assert self.shown(reader, actor="somebody") == {a, b, c}

    def test_offers_existing_actors_and_actions(self, reader: Staff, written: dict[str, StaffAction]) -> None:
        filters = {each.title: each.lookup_choices for each in self.filters(reader)}
        assert [name for _number, name in filters["staff member"]] == ["jimin", "sora"]
        assert filters["action"] == [("Changed", "Changed"), ("Stock adjusted", "Stock adjusted")]

    def filters(self, reader: Staff) -> list[Any]:
        specs = reader.get("audit_staffaction_changelist").context["cl"].filter_specs
        return [each for each in specs if hasattr(each, "lookup_choices")]

    def test_is_searched_by_name_and_by_number(self, reader: Staff, written: dict[str, StaffAction]) -> None:
        assert self.shown(reader, q="jimin") == {written["b"].pk}
        assert self.shown(reader, q="7") == {written["a"].pk, written["c"].pk}
        assert self.shown(reader, q="jim") == set()

    def test_uses_indexes_for_filters_and_search(self, reader: Staff, written: dict[str, StaffAction]) -> None:
        for query, index in (
            ({"actor": written["a"].actor_id}, "staff_action_actor"),
            ({"action": "Changed"}, "staff_action_kind"),
            ({"acted_at_from": "2026-01-01"}, "staff_action_time"),
            ({"q": "7"}, "staff_action_subject"),
        ):
            rows = reader.get("audit_staffaction_changelist", **query).context["cl"].queryset
            plan = plan_of(*rows.order_by().values("id").query.sql_with_params())
            assert index in plan, plan
            assert "Seq Scan" not in plan

    def test_shows_an_action_in_words(self, reader: Staff, written: dict[str, StaffAction]) -> None:
        page = reader.get("audit_staffaction_changelist").content.decode()
        assert '<a class="text-link" href="/admin/products/product/7/change/">product 7</a>' in page
        assert "<div>Price (won): ₩1 → ₩2</div>" in page
        assert WHY in page
        assert reader.get("audit_staffaction_change", written["a"].pk).status_code == 200

    def test_takes_a_constant_number_of_queries(self, reader: Staff, written: dict[str, StaffAction]) -> None:
        self.shown(reader)
        with statements() as few:
            self.shown(reader)
        for number in range(20):
            with transaction.atomic():
                record(Actor(UserFactory().pk), "Changed", Product(pk=number))
        with statements() as more:
            self.shown(reader)
        assert len(more) == len(few) <= 10
