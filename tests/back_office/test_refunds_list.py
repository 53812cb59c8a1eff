"""The list of all refunds in the back-office: columns, search, filters; read-only."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from balances.models import User
from commerce.core import sql
from orders.models import Refund
from products.models import Product
from tests.back_office.staff import Staff
from tests.factories import ProductFactory, StaffFactory, UserFactory, order_of, refunded
from tests.page_text import texts_of
from tests.plans import plan_of
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST, PAGE, EXPORT = "orders_refund_changelist", "orders_refund_change", "orders_refund_export"


@pytest.fixture
def clerk() -> Staff:
    return Staff("orders.view_order")


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina", balance=50_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000, stock=50)


def made(user: User, product: Product, units: int = 1, **values: Any) -> Refund:
    made = refunded(order_of(user, {product: units}), {product: units}, **values)
    return Refund.objects.get(pk=made.refund.id)


def found(staff: Staff, **query: object) -> list[int]:
    page = staff.get(LIST, **query)
    assert page.status_code == 200
    return [refund.pk for refund in page.context["cl"].result_list]


def text_of(page: Any) -> str:
    return " ".join(texts_of(page.content.decode()))


def test_it_shows_staff_items_and_order(clerk: Staff, mina: User, pen: Product) -> None:
    kim = StaffFactory(username="kim")
    refund = made(mina, pen, 2, restock=False, by=kim.pk)
    page = clerk.get(LIST)
    shown = text_of(page)
    for value in (f"#{refund.order_id}", "mina", "2 × Pen", "₩6,000", "not back in stock", "kim", "Sent back."):
        assert value in shown
    assert f'href="/admin/orders/order/{refund.order_id}/change/"' in page.content.decode()
    one = clerk.get(PAGE, refund.pk)
    assert "2 × Pen" in text_of(one)
    assert f'href="/admin/orders/order/{refund.order_id}/receipt/"' in one.content.decode()
    # Without the permissions for customers and products there are no links to their pages.
    assert "/admin/balances/user/" not in page.content.decode() + one.content.decode()
    boss = Staff(superuser=True).get(PAGE, refund.pk).content.decode()
    assert f'href="/admin/balances/user/{mina.pk}/change/"' in boss
    assert f'href="/admin/products/product/{pen.pk}/change/"' in boss


def test_it_is_searched_as_orders_are(clerk: Staff, mina: User, pen: Product) -> None:
    ink = ProductFactory(name="Ink", price=1_000, stock=50)
    of_mina, other = made(mina, pen), made(UserFactory(username="joon", balance=50_000), ink)
    assert found(clerk) == [other.pk, of_mina.pk]
    assert found(clerk, q=f"#{of_mina.order_id}") == found(clerk, q="mina") == found(clerk, q="pen") == [of_mina.pk]
    assert found(clerk, q=f"product:{ink.pk}") == [other.pk]
    assert found(clerk, q="nobody") == []


def test_it_is_filtered_by_day_and_stock(clerk: Staff, mina: User, pen: Product) -> None:
    old, back, damaged = made(mina, pen), made(mina, pen), made(mina, pen, restock=False)
    # The trigger refuses changes of refunds, so it is disabled to change a time.
    sql.execute("ALTER TABLE refund DISABLE TRIGGER refund_is_append_only")
    Refund.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    sql.execute("ALTER TABLE refund ENABLE TRIGGER refund_is_append_only")
    assert found(clerk, created_at_days="7") == [damaged.pk, back.pk, old.pk]
    day = timezone.localdate() - timedelta(days=2)
    assert found(clerk, created_at_from=day.isoformat()) == [damaged.pk, back.pk]
    assert found(clerk, created_at_to=day.isoformat()) == [old.pk]
    assert found(clerk, restock="no") == [damaged.pk]
    assert found(clerk, restock="yes") == [back.pk, old.pk]


def test_it_asks_no_more_for_more_rows(clerk: Staff, mina: User, pen: Product) -> None:
    made(mina, pen)
    with statements() as few:
        found(clerk)
    for customer in UserFactory.create_batch(6, balance=10_000):
        made(customer, ProductFactory(price=100, stock=5))
    with statements() as more:
        assert len(found(clerk)) == 7
    assert len(more) == len(few) <= 12


def test_nobody_edits_one(mina: User, pen: Product) -> None:
    boss, refund = Staff(superuser=True), made(mina, pen)
    with nothing_changes():
        assert boss.post(PAGE, refund.pk, reason="Another.").status_code == 403
        assert boss.post("orders_refund_delete", refund.pk, post="yes").status_code == 403
        assert boss.get("orders_refund_add").status_code == 403


def test_it_is_taken_along_with_the_right_for_orders(clerk: Staff, mina: User, pen: Product) -> None:
    refund = made(mina, pen, 2)
    assert clerk.get(EXPORT, "csv").status_code == 403
    finance = Staff("orders.view_order", "orders.export_order")
    lines = finance.get(EXPORT, "csv").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert f"{refund.order_id},{mina.pk},mina,2 × Pen,6000" in lines[1]


def test_the_menu_leads_to_it(clerk: Staff) -> None:
    assert 'href="/admin/orders/refund/"' in clerk.get("index").content.decode()
    assert 'href="/admin/orders/refund/"' not in Staff().get("index").content.decode()


def test_the_timeline_of_the_order_leads_to_it(clerk: Staff, mina: User, pen: Product) -> None:
    refund = made(mina, pen)
    page = clerk.get("orders_order_change", refund.order_id)
    assert f'href="/admin/orders/refund/{refund.pk}/change/"' in page.content.decode()


def test_an_index_has_the_refunds_by_time(clerk: Staff) -> None:
    with statements() as asked:
        found(clerk, created_at_days="7")
    [statement] = [each for each in asked if 'FROM "refund"' in each and "staff_name" in each]
    assert "refund_time" in plan_of(statement, [])
