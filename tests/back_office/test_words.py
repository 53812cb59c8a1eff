"""Texts for staff: no raw values or code names, numbers with separators."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from commerce.audit.models import StaffAction
from commerce.staff_pages.audit_display import changes_of
from commerce.staff_pages.rights import right_in_words
from coupons.models import Coupon
from orders.models import Order
from products.models import Product
from tests.back_office.staff import Staff, errors_of
from tests.back_office.test_every_page import EDITABLE, HISTORY, page
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory
from tests.operations.busy_shop import busy_shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def entry(subject_type: str, before: dict[str, object], after: dict[str, object]) -> StaffAction:
    return StaffAction(action="Changed", subject_type=subject_type, subject_id="1", before=before, after=after)


def test_no_page_shows_a_tuple(admin_user: Staff) -> None:
    busy_shop()
    for model in (*HISTORY, *EDITABLE):
        for row in model._default_manager.all()[:3]:
            shown = admin_user.get(page(model, "change"), row.pk).content.decode()
            assert "(&#x27;" not in shown, model
            assert "(&#39;" not in shown, model


def test_actions_are_shown_in_words() -> None:
    order = entry("orders.order", {"status": "COMPLETED"}, {"status": "CANCELLED", "refunded": 60_750})
    assert changes_of(order) == [("Status", "Completed", "Cancelled"), ("Refunded", "–", "₩60,750")]
    exported = entry("orders.order", {}, {"rows": 12_300, "filter": "", "format": "csv"})
    assert changes_of(exported) == [("Rows", "–", "12,300"), ("Format", "–", "csv")]
    filtered = entry("orders.order", {}, {"filter": "q=%EA%B0%90%EA%B7%A4+%EC%B0%A8"})
    assert changes_of(filtered) == [("Filter", "–", "q=감귤 차")]
    ended = entry("coupons.coupon", {"issue_ends_at": "2026-03-01T00:00:00+09:00"}, {"total_quantity": 10_000})
    assert changes_of(ended) == [("Issue ends at", "2026-03-01 00:00:00", "–"), ("Units", "–", "10,000")]


def test_permissions_are_shown_in_the_users_language() -> None:
    given = entry("auth.group", {"permissions": []}, {"permissions": ["orders.cancel_order", "balances.view_user"]})
    assert changes_of(given)[0][2] == ("Orders | order | Can cancel and refund order, Balances | user | Can view user")
    with translation.override("ko"):
        assert changes_of(given)[0][2] == "주문 | 주문 | 주문 취소와 환불, 잔액 | 사용자 | 사용자 보기"
    # Permissions as in older records; other values are unchanged.
    assert right_in_words("Orders | order | Can view order") == "Orders | order | Can view order"
    assert [right_in_words(right) for right in ("orders.fly_order", "nowhere.view_order")] == [
        "orders.fly_order",
        "nowhere.view_order",
    ]


def test_limits_have_thousands_separators(admin_user: Staff) -> None:
    coupon: Coupon = CouponFactory()
    product: Product = ProductFactory()
    answer = admin_user.press("coupons_coupon_change", coupon.pk, total_quantity=10**9)
    assert errors_of(answer)["total_quantity"] == ["Ensure this value is less than or equal to 10,000,000."]
    answer = admin_user.press("products_product_adjust_stock", product.pk, delta=10**9, reason="Found")
    assert errors_of(answer)["delta"] == ["Ensure this value is less than or equal to 1,000,000."]


@pytest.mark.parametrize("term", ["mina", "min", "MINA@shop.kr", "#{}", "{}"])
def test_actions_are_found_by_the_customer_and_by_the_number(admin_user: Staff, term: str) -> None:
    customer = UserFactory(username="mina", email="mina@shop.kr")
    other = UserFactory(username="jun")
    for user in (customer, other):
        StaffAction.objects.create(
            actor=StaffFactory(), action="Changed", subject_type="balances.user", subject_id=str(user.pk)
        )
    found = admin_user.get("audit_staffaction_changelist", q=term.format(customer.pk))
    assert [action.subject_id for action in found.context["cl"].result_list] == [str(customer.pk)]


def test_orders_are_found_by_their_number(admin_user: Staff) -> None:
    busy_shop()
    order = Order.objects.latest("pk")
    StaffAction.objects.create(
        actor=admin_user.user, action="Cancelled and refunded", subject_type="orders.order", subject_id=str(order.pk)
    )
    found = admin_user.get("audit_staffaction_changelist", q=f"#{order.pk}").context["cl"].result_list
    assert [(action.subject_type, action.subject_id) for action in found] == [("orders.order", str(order.pk))]


def log_in(username: str, password: str) -> int:
    return Client().post(reverse("admin:login"), {"username": username, "password": password}).status_code


def test_logins_and_failed_ones_of_staff_are_recorded() -> None:
    staff = StaffFactory(username="minji", password="correct horse")
    customer = UserFactory(username="mina", password="correct horse")
    assert log_in("minji", "wrong") == 200
    assert log_in("minji", "correct horse") == 302
    # Failed logins of customers and unknown names are not recorded as staff actions.
    assert log_in(customer.username, "correct horse") == 200
    assert log_in("nobody", "wrong") == 200
    actions = StaffAction.objects.order_by("pk").values_list(
        "actor_id", "action", "subject_type", "subject_id", "after"
    )
    here = {"address": "127.0.0.1"}
    assert list(actions) == [
        (staff.pk, "Login failed", "balances.user", str(staff.pk), here),
        (staff.pk, "Logged in", "balances.user", str(staff.pk), here),
    ]
