"""Reservations in the back-office, and stock adjustments with held units."""

from datetime import timedelta

import pytest
from django.utils import timezone

from balances.models import User
from commerce.idempotency.commit import Idempotency
from orders.services import pay_reservation
from products.models import Product
from products.selectors import scarce_stock
from reservations.models import Reservation
from reservations.services import reserve
from tests.back_office.staff import Staff, errors_of
from tests.factories import ProductFactory, UserFactory, order_of

pytestmark = pytest.mark.django_db(transaction=True)

LIST, PAGE = "reservations_reservation_changelist", "reservations_reservation_change"
RIGHTS = ("reservations.view_reservation", "products.view_product", "products.change_product", "products.adjust_stock")


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


@pytest.fixture
def user() -> User:
    return UserFactory(username="mina", balance=50_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", price=1_000, stock=12)


def held(user: User, product: Product, units: int) -> Reservation:
    return reserve(user_id=user.pk, quantities={product.pk: units}, idempotency=Idempotency.none())


def found(clerk: Staff, **query: object) -> list[int]:
    page = clerk.get(LIST, **query)
    assert page.status_code == 200
    return [reservation.pk for reservation in page.context["cl"].result_list]


def test_they_are_listed_as_customers_see_them(clerk: Staff, user: User, pen: Product) -> None:
    over, live = held(UserFactory(), pen, 1), held(user, pen, 2)
    past = timezone.now() - timedelta(minutes=1)
    Reservation.objects.filter(pk=over.pk).update(created_at=past - timedelta(minutes=10), expires_at=past)
    assert found(clerk) == [live.pk, over.pk]
    assert found(clerk, status="HELD") == [live.pk]
    assert found(clerk, status="EXPIRED") == [over.pk]
    assert found(clerk, q="mina") == [live.pk]
    order = pay_reservation(
        user_id=user.pk, reservation_id=live.pk, user_coupon_id=None, idempotency=Idempotency.none()
    )
    assert found(clerk, status="PAID") == found(clerk, q=f"#{order.id}") == [live.pk]
    page = clerk.get(PAGE, live.pk)
    assert page.status_code == 200
    assert f"#{order.id}" in page.content.decode()
    assert clerk.post(PAGE, live.pk, status="HELD").status_code == 403


def test_an_orders_timeline_has_the_reservation_it_was_paid_from(user: User, pen: Product) -> None:
    reservation = held(user, pen, 2)
    number = f"#{reservation.pk}"
    order = pay_reservation(
        user_id=user.pk, reservation_id=reservation.pk, user_coupon_id=None, idempotency=Idempotency.none()
    )
    page = Staff("orders.view_order", "reservations.view_reservation").get("orders_order_change", order.id)
    first, second = page.context["timeline"][:2]
    assert (first.at, first.detail) == (reservation.created_at, "2 × Pen")
    assert first.title == f"Units held for a cart, until {timezone.localtime(reservation.expires_at):%Y-%m-%d %H:%M}"
    assert first.address == f"/admin/reservations/reservation/{reservation.pk}/change/"
    assert (second.title, second.detail) == ("Placed and paid", f"2 units for ₩2,000 · from reservation {number}")
    # Without the permission for reservations it is shown without a link.
    blind = Staff("orders.view_order").get("orders_order_change", order.id).context["timeline"]
    assert (blind[0].title, blind[0].address) == (first.title, "")


def test_another_orders_timeline_has_no_reservation(user: User, pen: Product) -> None:
    held(user, pen, 1)
    order = order_of(user, {pen: 1})
    timeline = Staff("orders.view_order").get("orders_order_change", order.pk).context["timeline"]
    assert [(moment.title, moment.detail) for moment in timeline] == [("Placed and paid", "1 unit for ₩1,000")]


def test_the_list_takes_a_constant_number_of_queries(
    clerk: Staff, pen: Product, django_assert_max_num_queries: object
) -> None:
    for customer in UserFactory.create_batch(8):
        held(customer, pen, 1)
    with django_assert_max_num_queries(12):  # type: ignore[operator]  # a fixture of pytest-django
        assert len(found(clerk)) == 8


def test_held_units_are_not_available(clerk: Staff, user: User, pen: Product) -> None:
    held(user, pen, 12)
    assert (scarce_stock(most=5).out, scarce_stock(most=5).low) == (1, 0)
    out = clerk.get("products_product_changelist", level="out")
    assert [product.pk for product in out.context["cl"].result_list] == [pen.pk]
    assert "0 + 12 held" in out.content.decode()
    assert "12 of them are held" in clerk.get("products_product_adjust_stock", pen.pk).content.decode()


def test_an_adjustment_cannot_go_below_held_units(clerk: Staff, user: User, pen: Product) -> None:
    held(user, pen, 5)
    refused = clerk.press("products_product_adjust_stock", pen.pk, delta="-8", reason="Counted.")
    assert errors_of(refused) == {"delta": ["Only 7 units are not held for carts."]}
    assert clerk.press("products_product_adjust_stock", pen.pk, delta="-7", reason="Counted.").status_code == 302
    pen.refresh_from_db()
    assert (pen.stock, pen.held) == (5, 5)
