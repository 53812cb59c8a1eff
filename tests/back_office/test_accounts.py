"""Accounts in the back-office: everything but the money."""

import pytest
from django.contrib.admin.models import LogEntry

from balances.models import User
from balances.services import charge_balance
from commerce.idempotency.claims import Once
from tests.back_office.staff import Staff
from tests.factories import UserFactory
from tests.shop_state import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

MANAGE_USERS = ("balances.view_user", "balances.change_user")


def form_of(user: User, **changes: object) -> dict[str, object]:
    """The fields of the account's page as a browser sends them."""
    return {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_active": "on",
        **changes,
    }


@pytest.fixture
def customer() -> User:
    return UserFactory(balance=5_000)


def test_a_balance_is_shown_and_cannot_be_sent(customer: User) -> None:
    staff = Staff(superuser=True)
    opened = staff.get("balances_user_change", customer.pk)
    assert "balance" not in opened.context["adminform"].form.fields
    assert '<div class="readonly">5000</div>' in opened.content.decode()
    answer = staff.post("balances_user_change", customer.pk, **form_of(customer, email="a@b.kr", balance="999999"))
    assert answer.status_code == 302
    customer.refresh_from_db()
    assert (customer.email, customer.balance) == ("a@b.kr", 5_000)
    assert LogEntry.objects.get().user_id == staff.user.pk


def test_saving_an_account_that_was_read_earlier_keeps_what_was_charged_meanwhile(customer: User) -> None:
    read_earlier = User.objects.get(pk=customer.pk)
    charge_balance(user_id=customer.pk, amount=700, once=Once())
    assert read_earlier.balance == 5_000
    read_earlier.email = "new@example.com"
    read_earlier.set_password("another")
    read_earlier.save()
    stored = User.objects.get(pk=customer.pk)
    assert (stored.balance, stored.email, stored.check_password("another")) == (5_700, "new@example.com", True)


def test_writing_the_whole_row_would_lose_the_charge(customer: User) -> None:
    """The control: what Django's own save does with an old row."""
    read_earlier = User.objects.get(pk=customer.pk)
    charge_balance(user_id=customer.pk, amount=700, once=Once())
    read_earlier.save_base()
    assert User.objects.get(pk=customer.pk).balance == 5_000


def test_a_new_account_starts_with_nothing() -> None:
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


def test_staff_do_not_give_rights_to_anyone(customer: User) -> None:
    clerk = Staff(*MANAGE_USERS)
    for target in (customer, clerk.user):
        clerk.post("balances_user_change", target.pk, **form_of(target, is_superuser="on", is_staff="on"))
        assert User.objects.get(pk=target.pk).is_superuser is False
    customer.refresh_from_db()
    assert customer.is_staff is False


def test_staff_do_not_touch_a_superuser() -> None:
    boss = Staff(superuser=True).user
    clerk = Staff(*MANAGE_USERS)
    with nothing_changes():
        assert clerk.post("balances_user_change", boss.pk, **form_of(boss, email="x@y.kr")).status_code == 403
        answer = clerk.post(
            "auth_user_password_change",
            boss.pk,
            usable_password="true",
            password1="tangerine-4711",
            password2="tangerine-4711",
        )
        assert answer.status_code == 403
