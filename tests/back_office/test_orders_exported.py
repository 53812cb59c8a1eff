"""Exports of orders: the rows of the list, both formats, the permission."""

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone
from openpyxl import load_workbook

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.idempotency.commit import Idempotency
from commerce.staff_pages import exports
from orders.models import Order
from orders.services import cancel_order
from products.models import Product
from tests.back_office.staff import Page, Staff, messages_on
from tests.factories import CouponFactory, ProductFactory, UserCouponFactory, UserFactory, order_of, refunded
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST, EXPORT = "orders_order_changelist", "orders_order_export"
RIGHTS = ("orders.view_order", "orders.export_order", "balances.view_user", "products.view_product")


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina", email="mina@shop.kr", balance=100_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=3_000, stock=50)


def lines_of(answer: Page) -> list[list[str]]:
    """The lines of the CSV file without the heading."""
    assert answer.status_code == 200, answer
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]


def time_of(at: datetime | None) -> datetime | None:
    return timezone.localtime(at).replace(tzinfo=None, microsecond=0) if at else None


def test_a_row_has_all_fields_of_an_order(clerk: Staff, mina: User, pen: Product) -> None:
    ink = ProductFactory(name="Ink", price=7_000)
    unit = UserCouponFactory(user=mina, coupon=CouponFactory(name="Welcome", discount_value=1_000))
    order = order_of(mina, {pen: 2, ink: 1}, coupon=unit)
    answer = clerk.get(EXPORT, "csv")
    headings = next(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert headings == [
        *("order", "when", "status", "customer's number", "customer", "email", "items", "units"),
        *("total (won)", "discount (won)", "paid (won)", "coupon used", "cancelled at"),
        *("refunded (won)", "units refunded"),
    ]
    assert lines_of(answer) == [
        [
            *(str(order.pk), str(time_of(order.created_at)), "Completed", str(mina.pk), "mina", "mina@shop.kr"),
            *("2 × Pen; 1 × Ink", "3", "13000", "1000", "12000", "Welcome", "", "0", "0"),
        ]
    ]


def test_numbers_and_times_keep_their_types_in_xlsx(clerk: Staff, mina: User, pen: Product) -> None:
    order = order_of(mina, {pen: 2})
    cancel_order(order_id=order.pk, owner_id=None, idempotency=Idempotency.none())
    order.refresh_from_db()
    sheet = load_workbook(io.BytesIO(clerk.get(EXPORT, "xlsx").content)).active
    assert sheet is not None
    (_, line) = sheet.iter_rows(values_only=True)
    assert line[0] == order.pk
    assert (line[1], line[2], line[12]) == (time_of(order.created_at), "Cancelled", time_of(order.cancelled_at))
    assert (line[7:11], line[13:]) == ((2, 6_000, 0, 6_000), (6_000, 2))


def test_refunds_have_their_own_columns(clerk: Staff, mina: User, pen: Product) -> None:
    order = order_of(mina, {pen: 3})
    refunded(order, {pen: 2})
    [line] = lines_of(clerk.get(EXPORT, "csv"))
    assert (line[2], line[13:]) == ("Completed", ["6000", "2"])


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"q": "mina"},
        {"q": "pen"},
        {"q": "nobody"},
        {"status__exact": "CANCELLED"},
        {"paid_amount_from": "5000"},
        {"q": "pen", "coupon": "without", "status__exact": "COMPLETED"},
        {"ordered_date_from": "2020-01-01", "q": "joon"},
    ],
)
def test_the_file_has_the_orders_of_the_list(clerk: Staff, mina: User, pen: Product, query: dict[str, Any]) -> None:
    joon = UserFactory(username="joon", balance=100_000)
    ink = ProductFactory(name="Ink", price=7_000)
    order_of(mina, {pen: 1}, coupon=UserCouponFactory(user=mina))
    for buyer in (mina, joon):
        for quantities in ({pen: 2}, {ink: 1}, {pen: 1, ink: 1}):
            order_of(buyer, quantities)
    for gone in Order.objects.filter(paid_amount=7_000):
        cancel_order(order_id=gone.pk, owner_id=None, idempotency=Idempotency.none())
    in_list = [str(order.pk) for order in clerk.get(LIST, **query).context["cl"].result_list]
    assert [line[0] for line in lines_of(clerk.get(EXPORT, "csv", **query))] == in_list
    sheet = load_workbook(io.BytesIO(clerk.get(EXPORT, "xlsx", **query).content)).active
    assert sheet is not None
    assert [str(row[0]) for row in sheet.iter_rows(min_row=2, values_only=True)] == in_list


def test_the_file_of_a_search_by_number_has_that_order(clerk: Staff, mina: User, pen: Product) -> None:
    order, _other = order_of(mina, {pen: 1}), order_of(mina, {pen: 1})
    assert [line[0] for line in lines_of(clerk.get(EXPORT, "csv", q=str(order.pk)))] == [str(order.pk)]


def test_a_long_file_is_complete(clerk: Staff, mina: User, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 2)
    orders = [order_of(mina, {pen: 1}) for _ in range(5)]
    expected = [str(order.pk) for order in reversed(orders)]
    assert [line[0] for line in lines_of(clerk.get(EXPORT, "csv"))] == expected
    by_day = clerk.get(EXPORT, "csv", ordered_date_from="2020-01-01")
    assert [line[0] for line in lines_of(by_day)] == expected


def test_a_row_needs_no_extra_query(clerk: Staff, mina: User, pen: Product) -> None:
    order_of(mina, {pen: 1})
    with statements() as few:
        clerk.get(EXPORT, "csv")
    for _ in range(10):
        order_of(mina, {pen: 1}, coupon=None)
    with statements() as many:
        clerk.get(EXPORT, "csv")
    assert len(many) == len(few) <= 15


def test_no_text_becomes_a_formula(clerk: Staff, pen: Product) -> None:
    buyer = UserFactory(username="=1+1", email="@evil", balance=10_000)
    coupon = UserCouponFactory(user=buyer, coupon=CouponFactory(name='=HYPERLINK("http://evil")'))
    order_of(buyer, {pen: 1}, coupon=coupon)
    (line,) = lines_of(clerk.get(EXPORT, "csv"))
    assert (line[4], line[5], line[11]) == ("'=1+1", "'@evil", '\'=HYPERLINK("http://evil")')
    sheet = load_workbook(io.BytesIO(clerk.get(EXPORT, "xlsx").content)).active
    assert sheet is not None
    assert {(cell.value, cell.data_type) for cell in (sheet["E2"], sheet["F2"])} == {("=1+1", "s"), ("@evil", "s")}


def test_too_many_rows_are_refused_with_a_message(
    clerk: Staff, mina: User, pen: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exports.MOST_ROWS, "xlsx", 1)
    for _ in range(2):
        order_of(mina, {pen: 1})
    answer = clerk.get(EXPORT, "xlsx", q="mina")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/orders/order/?q=mina")
    assert messages_on(answer) == ["The list has more than 1 rows. Filter it, for example by day."]
    assert not StaffAction.objects.exists()
    assert len(lines_of(clerk.get(EXPORT, "csv", q="mina"))) == 2


def test_an_export_is_recorded(clerk: Staff, mina: User, pen: Product) -> None:
    order_of(mina, {pen: 1})
    clerk.get(EXPORT, "csv", q="mina", status__exact="COMPLETED")
    action = StaffAction.objects.get()
    assert (action.actor_id, action.action, action.subject_type) == (clerk.user.pk, "Exported", "orders.order")
    assert action.after == {"rows": 1, "filter": "q=mina&status__exact=COMPLETED", "format": "csv"}


def test_it_requires_the_permission(mina: User, pen: Product) -> None:
    order_of(mina, {pen: 1})
    onlooker = Staff("orders.view_order")
    with nothing_changes():
        assert onlooker.get(EXPORT, "csv").status_code == 403
        assert onlooker.get(EXPORT, "xlsx").status_code == 403
    assert "export.csv" not in onlooker.get(LIST).content.decode()
    assert "export.csv" in Staff(*RIGHTS).get(LIST).content.decode()
    assert not StaffAction.objects.exists()
