"""Accounts in the back-office, without their money."""

from typing import Any

import pytest

from balances.models import User
from balances.services import charge_balance
from commerce.idempotency.commit import Idempotency
from commerce.staff_pages.paging import MOST_ROWS_COUNTED
from coupons.services import issue_coupon
from tests.back_office.staff import Page, Staff
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserFactory, order_of
from tests.plans import plan_of
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

MANAGE_USERS = ("balances.view_user", "balances.change_user")


@pytest.fixture
def customer() -> User:
    return UserFactory(balance=5_000)


def test_a_balance_is_shown_and_cannot_be_sent(customer: User) -> None:
    staff = Staff(superuser=True)
    opened = staff.get("balances_user_change", customer.pk)
    assert {"balance", "wallet"} & set(opened.context["adminform"].form.fields) == set()
    assert "₩5,000" in opened.content.decode()
    answer = staff.press("balances_user_change", customer.pk, email="a@b.kr", balance="999999")
    assert answer.status_code == 302
    customer.refresh_from_db()
    assert (customer.email, customer.balance) == ("a@b.kr", 5_000)


def test_saving_an_account_keeps_a_concurrent_charge(customer: User) -> None:
    read_earlier = User.objects.get(pk=customer.pk)
    charge_balance(user_id=customer.pk, amount=700, idempotency=Idempotency.none())
    assert read_earlier.balance == 5_000
    read_earlier.email = "new@example.com"
    read_earlier.set_password("another")
    read_earlier.save()
    stored = User.objects.get(pk=customer.pk)
    assert (stored.balance, stored.email, stored.check_password("another")) == (5_700, "new@example.com", True)


def test_control_writing_the_whole_row_loses_the_charge(customer: User) -> None:
    """The control: Django's `save()` of an outdated row."""
    read_earlier = User.objects.get(pk=customer.pk)
    charge_balance(user_id=customer.pk, amount=700, idempotency=Idempotency.none())
    read_earlier.save_base()
    assert User.objects.get(pk=customer.pk).balance == 5_000


def test_a_new_account_has_a_balance_of_zero() -> None:
    staff = Staff(superuser=True)
    answer = staff.post(
        "balances_user_add",
        username="newcomer",
        usable_password="true",
        password1="tangerine-4711",
        password2="tangerine-4711",
        balance="100",
    )
    assert answer.status_code == 302
    newcomer = User.objects.get(username="newcomer")
    assert (newcomer.balance, newcomer.is_staff, newcomer.check_password("tangerine-4711")) == (0, False, True)


def test_a_password_is_changed_without_touching_the_balance(customer: User) -> None:
    answer = Staff(superuser=True).post(
        "auth_user_password_change",
        customer.pk,
        usable_password="true",
        password1="tangerine-4711",
        password2="tangerine-4711",
    )
    assert answer.status_code == 302
    customer.refresh_from_db()
    assert (customer.balance, customer.check_password("tangerine-4711")) == (5_000, True)


def test_staff_may_not_grant_permissions(customer: User) -> None:
    answer = Staff(*MANAGE_USERS).press("balances_user_change", customer.pk, is_superuser="on", is_staff="on")
    assert answer.status_code == 302
    customer.refresh_from_db()
    assert (customer.is_superuser, customer.is_staff) == (False, False)


@pytest.mark.parametrize("is_superuser", [False, True], ids=["staff", "superuser"])
def test_staff_may_not_change_accounts_of_staff(is_superuser: bool) -> None:
    """Setting a colleague's password would give the colleague's rights."""
    colleague = StaffFactory(is_superuser=is_superuser)
    clerk = Staff(*MANAGE_USERS)
    for account in (colleague, clerk.user):
        with nothing_changes():
            answer = clerk.post("balances_user_change", account.pk, email="x@y.kr")
            assert answer.status_code == 403
            answer = clerk.post(
                "auth_user_password_change",
                account.pk,
                usable_password="true",
                password1="tangerine-4711",
                password2="tangerine-4711",
            )
            assert answer.status_code == 403


def test_staff_may_not_create_accounts_of_staff() -> None:
    clerk = Staff(*MANAGE_USERS, "balances.add_user")
    password = {"usable_password": "true", "password1": "tangerine-4711", "password2": "tangerine-4711"}
    clerk.post("balances_user_add", username="newcomer", is_staff="on", is_superuser="on", **password)
    newcomer = User.objects.get(username="newcomer")
    assert (newcomer.is_staff, newcomer.is_superuser) == (False, False)


def test_viewers_do_not_see_the_password_field(customer: User) -> None:
    customer.set_password("tangerine-4711")
    customer.save()
    page = Staff("balances.view_user").get("balances_user_change", customer.pk).content.decode()
    _algorithm, _work, salt, digest = customer.password.split("$")
    for secret in (salt[:6], digest[:6], "pbkdf2"):
        assert secret not in page


class TestTheList:
    """Customers are found by what they say on the phone, at a cost that does not depend on the size of the shop."""

    @pytest.fixture
    def viewer(self) -> Staff:
        return Staff("balances.view_user")

    def found(self, viewer: Staff, **query: Any) -> list[str]:
        shown = viewer.get("balances_user_changelist", **query).context["cl"].result_list
        return [user.username for user in shown]

    def test_shows_balances_in_won(self, viewer: Staff, customer: User) -> None:
        assert "₩5,000" in viewer.get("balances_user_changelist").content.decode()

    @pytest.mark.parametrize(
        ("term", "names"),
        [
            ("mina", ["mina", "minam"]),
            ("MINA", ["mina", "minam"]),
            ("min", ["minam", "mina"]),
            ("minam", ["minam"]),
            ("  mina ", ["mina", "minam"]),
            ("김철수", ["joon"]),
            ("김 철수", ["joon"]),
            ("철수 김", ["joon"]),
            ("철수", ["joon"]),
            ("park", ["minam"]),
            ("Mary Ann", ["minam"]),
            ("mary ann park", ["minam"]),
            ("Park Mary", ["minam"]),
            ("ina", []),
            ("Mina@Example.com", ["mina"]),
            ("example.com", []),
            ("%", []),
            ("m_na", []),
            ("9" * 30, []),
        ],
    )
    def test_is_searched_by_name_prefix_or_whole_email(self, viewer: Staff, term: str, names: list[str]) -> None:
        UserFactory(username="mina", email="mina@example.com")
        UserFactory(username="minam", email="other@example.com", first_name="Mary Ann", last_name="Park")
        UserFactory(username="joon", first_name="철수", last_name="김")
        assert self.found(viewer, q=term) == names

    def test_is_searched_by_number(self, viewer: Staff, customer: User) -> None:
        UserFactory(username=f"{customer.pk}-more")
        assert self.found(viewer, q=str(customer.pk)) == [f"{customer.pk}-more", customer.username]

    def test_is_filtered_by_staff_and_by_active(self, viewer: Staff, customer: User) -> None:
        UserFactory(username="gone", is_active=False)
        assert self.found(viewer, is_staff__exact=1) == [viewer.user.username]
        assert self.found(viewer, is_active__exact=0) == ["gone"]

    def test_uses_an_index_for_each_search(self, viewer: Staff) -> None:
        """No search reads all accounts, because each term is compared with the beginning of a field."""
        answer = viewer.get("balances_user_changelist", q="42@example.com")
        query, params = answer.context["cl"].queryset.order_by().query.sql_with_params()
        plan = plan_of(query, params)
        assert "user_email" in plan
        assert "user_username_begins" in plan
        assert "user_last_name_begins" in plan
        assert "user_first_name_begins" in plan
        assert "Seq Scan" not in plan

    def test_is_counted_up_to_a_limit(self, viewer: Staff) -> None:
        with statements() as ran:
            self.found(viewer)
        assert [f"LIMIT {MOST_ROWS_COUNTED + 1}" in each for each in ran if "COUNT(" in each] == [True]


class TestThePage:
    """The page of one account."""

    def page(self, staff: Staff, customer: User) -> Page:
        return staff.get("balances_user_change", customer.pk)

    def test_links_to_the_customers_orders_and_coupons(self, customer: User) -> None:
        staff, other = Staff(superuser=True), UserFactory(balance=5_000)
        pen, coupon = ProductFactory(), CouponFactory()
        mine, _theirs = order_of(customer, {pen: 1}), order_of(other, {pen: 1})
        held = issue_coupon(user_id=customer.pk, coupon_id=coupon.pk, idempotency=Idempotency.none())
        issue_coupon(user_id=other.pk, coupon_id=coupon.pk, idempotency=Idempotency.none())
        tools = {str(tool["title"]): tool["link"] for tool in self.page(staff, customer).context["tools"]}
        assert [*tools] == ["Adjust balance", "Orders", "Coupons", "Ledger"]

        def rows(title: str) -> list[int]:
            return [row.pk for row in staff.client.get(tools[title]).context["cl"].result_list]

        assert rows("Orders") == [mine.pk]
        assert rows("Coupons") == [held.id]
        assert rows("Ledger") == [entry.pk for entry in customer.ledger.all()]

    def test_has_no_links_without_the_permission(self, customer: User) -> None:
        opened = self.page(Staff("balances.view_user"), customer)
        assert opened.context["tools"] == []
        assert "entries" not in opened.context

    def test_takes_a_constant_number_of_queries(self, customer: User) -> None:
        staff = Staff(superuser=True)
        self.page(staff, customer)
        with statements() as few:
            self.page(staff, customer)
        for _ in range(30):
            charge_balance(user_id=customer.pk, amount=1, idempotency=Idempotency.none())
        with statements() as more:
            self.page(staff, customer)
        assert len(more) == len(few) <= 16
