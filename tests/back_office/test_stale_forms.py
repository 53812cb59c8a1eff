"""Concurrent edits: a page opened before another save does not overwrite it."""

from functools import partial
from typing import Any

import pytest
from django.utils.module_loading import import_string

from balances.models import User
from coupons.models import Coupon
from products.models import Product
from tests.back_office.staff import Page, Staff, messages_on
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory
from tests.shop_state import nothing_changes
from tests.together import Meeting, together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

CHANGED = "Somebody else has changed this since the page was opened. Nothing was saved; open the page again."


@pytest.fixture
def early() -> Staff:
    return Staff(superuser=True)


@pytest.fixture
def late() -> Staff:
    return Staff(superuser=True)


def form_of(opened: Page) -> dict[str, Any]:
    """The form values of the page without changes."""
    return dict(fields_of(opened.content.decode()))


def meets_before_saving(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """Both forms are validated before one is saved."""
    meeting = Meeting()
    save = import_string(service)

    def meet_and_save(row: Any, **how: Any) -> Any:
        meeting.attend()
        return save(row, **how)

    monkeypatch.setattr(service, meet_and_save)


def refused(answer: Page) -> bool:
    return answer.status_code == 200 and CHANGED in answer.content.decode()


def sends(staff: Staff, page: str, row_id: int, opened: Page, **changes: Any) -> Page:
    return staff.post(page, row_id, **{**form_of(opened), **changes})


class TestAProduct:
    PAGE = "products_product_change"

    @pytest.fixture
    def pen(self) -> Product:
        return ProductFactory(name="Pen", price=3_000, stock=10)

    def test_keeps_a_price_set_meanwhile(self, early: Staff, late: Staff, pen: Product) -> None:
        opened = early.get(self.PAGE, pen.pk)
        assert sends(late, self.PAGE, pen.pk, late.get(self.PAGE, pen.pk), price=4_000).status_code == 302
        with nothing_changes():
            assert refused(sends(early, self.PAGE, pen.pk, opened, name="Pencil"))
        pen.refresh_from_db()
        assert (pen.name, pen.price) == ("Pen", 4_000)

    @pytest.mark.parametrize("opened", [None, "", "0" * 64], ids=["left out", "empty", "made up"])
    def test_is_not_saved_without_a_fingerprint(self, early: Staff, pen: Product, opened: str | None) -> None:
        with nothing_changes():
            assert refused(early.press(self.PAGE, pen.pk, name="Pencil", opened=opened))

    def test_is_saved_after_reopening_the_page(self, early: Staff, late: Staff, pen: Product) -> None:
        sends(late, self.PAGE, pen.pk, late.get(self.PAGE, pen.pk), price=4_000)
        answer = sends(early, self.PAGE, pen.pk, early.get(self.PAGE, pen.pk), name="Pencil")
        assert answer.status_code == 302
        pen.refresh_from_db()
        assert (pen.name, pen.price) == ("Pencil", 4_000)

    def test_is_saved_despite_sales_meanwhile(self, early: Staff, pen: Product) -> None:
        opened = early.get(self.PAGE, pen.pk)
        adjust = "products_product_adjust_stock"
        sends(early, adjust, pen.pk, early.get(adjust, pen.pk), delta=-3, reason="Broken.")
        assert sends(early, self.PAGE, pen.pk, opened, name="Pencil").status_code == 302
        pen.refresh_from_db()
        assert (pen.name, pen.stock) == ("Pencil", 7)

    def test_accepts_one_of_two_concurrent_forms(
        self, early: Staff, late: Staff, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both forms are validated before one is saved."""
        meets_before_saving(monkeypatch, "products.services.save_product")
        answers = together(
            [
                partial(sends, early, self.PAGE, pen.pk, early.get(self.PAGE, pen.pk), price=4_000),
                partial(sends, late, self.PAGE, pen.pk, late.get(self.PAGE, pen.pk), name="Pencil"),
            ]
        )
        assert sum(messages_on(answer)[0].startswith(CHANGED) for answer in answers) == 1
        pen.refresh_from_db()
        assert (pen.name, pen.price) in (("Pen", 4_000), ("Pencil", 3_000))


class TestACoupon:
    PAGE = "coupons_coupon_change"

    @pytest.fixture
    def coupon(self) -> Coupon:
        return CouponFactory(name="Welcome", total_quantity=10)

    def test_keeps_units_added_meanwhile(self, early: Staff, late: Staff, coupon: Coupon) -> None:
        opened = early.get(self.PAGE, coupon.pk)
        assert sends(late, self.PAGE, coupon.pk, late.get(self.PAGE, coupon.pk), total_quantity=50).status_code == 302
        with nothing_changes():
            assert refused(sends(early, self.PAGE, coupon.pk, opened, name="Hello"))
        coupon.refresh_from_db()
        assert (coupon.name, coupon.total_quantity) == ("Welcome", 50)

    def test_accepts_one_of_two_concurrent_forms(
        self, early: Staff, late: Staff, coupon: Coupon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        meets_before_saving(monkeypatch, "coupons.services.save_coupon")
        answers = together(
            [
                partial(sends, early, self.PAGE, coupon.pk, early.get(self.PAGE, coupon.pk), total_quantity=50),
                partial(sends, late, self.PAGE, coupon.pk, late.get(self.PAGE, coupon.pk), name="Hello"),
            ]
        )
        assert sum(messages_on(answer)[0].startswith(CHANGED) for answer in answers) == 1
        coupon.refresh_from_db()
        assert (coupon.name, coupon.total_quantity) in (("Welcome", 50), ("Hello", 10))


class TestAnAccount:
    PAGE = "balances_user_change"

    @pytest.fixture
    def customer(self) -> User:
        return UserFactory(balance=500)

    def test_stays_closed_if_closed_meanwhile(self, early: Staff, late: Staff, customer: User) -> None:
        opened = early.get(self.PAGE, customer.pk)
        closing = form_of(late.get(self.PAGE, customer.pk))
        del closing["is_active"]
        assert late.post(self.PAGE, customer.pk, **closing).status_code == 302
        with nothing_changes():
            assert refused(sends(early, self.PAGE, customer.pk, opened, email="a@b.kr"))
        customer.refresh_from_db()
        assert (customer.is_active, customer.email) == (False, "")

    def test_is_saved_despite_charges_meanwhile(self, early: Staff, customer: User) -> None:
        opened = early.get(self.PAGE, customer.pk)
        User.objects.filter(pk=customer.pk).update(balance=501)
        assert sends(early, self.PAGE, customer.pk, opened, email="a@b.kr").status_code == 302
        customer.refresh_from_db()
        assert (customer.email, customer.balance) == ("a@b.kr", 501)

    def test_keeps_permissions_removed_meanwhile(self, early: Staff, late: Staff) -> None:
        clerk: User = StaffFactory()
        opened = early.get(self.PAGE, clerk.pk)
        closing = form_of(late.get(self.PAGE, clerk.pk))
        del closing["is_staff"]
        assert late.post(self.PAGE, clerk.pk, **closing).status_code == 302
        assert refused(sends(early, self.PAGE, clerk.pk, opened, email="a@b.kr"))
        clerk.refresh_from_db()
        assert clerk.is_staff is False
