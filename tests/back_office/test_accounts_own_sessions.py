"""One's own sessions: listed with their origin, and ended one by one."""

import pytest
from django.test import Client

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.back_office.models import StaffSession
from commerce.staff_access.session_ends import SEEN_AT
from tests.factories import StaffFactory

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "tangerine-4711"


@pytest.fixture
def clerk() -> User:
    return StaffFactory(username="jimin", password=PASSWORD)


def browser(name: str, username: str = "jimin") -> Client:
    client = Client(headers={"User-Agent": name})
    form = {"username": username, "password": PASSWORD}
    assert client.post("/admin/login/?next=/admin/", form).status_code == 302
    return client


def listed(client: Client) -> list[tuple[str, bool]]:
    sessions = client.get("/admin/sessions/").context["sessions"]
    return [(each.row.browser, each.is_this_one) for each in sessions]


def number(name: str) -> int:
    return StaffSession.objects.get(browser=name).pk


def test_each_login_is_listed_for_its_owner_only(clerk: User) -> None:
    StaffFactory(username="sora", password=PASSWORD)
    phone, _desk, other = browser("Phone"), browser("Desk"), browser("Other", "sora")
    assert listed(phone) == [("Desk", False), ("Phone", True)]
    assert listed(other) == [("Other", True)]


def test_ending_a_session_takes_effect_at_once_and_is_recorded(clerk: User) -> None:
    phone, desk = browser("Phone"), browser("Desk")
    assert desk.post(f"/admin/sessions/{number('Phone')}/end/").status_code == 302
    assert phone.get("/admin/sessions/").status_code == 302
    assert listed(desk) == [("Desk", True)]
    ended = StaffAction.objects.get(action="Session ended")
    assert (ended.actor_id, ended.subject_id) == (clerk.pk, str(clerk.pk))


def test_ending_the_current_session_leads_to_the_login(clerk: User) -> None:
    desk = browser("Desk")
    assert "/admin/login/" in desk.post(f"/admin/sessions/{number('Desk')}/end/").headers["Location"]
    assert desk.get("/admin/").status_code == 302


def test_another_accounts_session_cannot_be_ended(clerk: User) -> None:
    StaffFactory(username="sora", password=PASSWORD, is_superuser=True)
    desk, other = browser("Desk"), browser("Other", "sora")
    assert other.post(f"/admin/sessions/{number('Desk')}/end/").status_code == 404
    assert listed(desk) == [("Desk", True)]
    # The address is text, not a button.
    assert desk.get(f"/admin/sessions/{number('Desk')}/end/").status_code == 405


def test_a_logged_out_session_is_not_listed(clerk: User) -> None:
    phone = browser("Phone")
    phone.post("/admin/logout/")
    assert listed(browser("Desk")) == [("Desk", True)]
    assert StaffSession.objects.count() == 1


def test_a_session_that_has_no_row_yet_gets_one(clerk: User) -> None:
    desk = browser("Desk")
    StaffSession.objects.all().delete()
    assert listed(desk) == [("Desk", True)]


def test_a_new_password_ends_the_other_sessions(clerk: User) -> None:
    phone, desk = browser("Phone"), browser("Desk")
    form = {"old_password": PASSWORD, "new_password1": "mandarin-9021", "new_password2": "mandarin-9021"}
    assert desk.post("/admin/password_change/", form).status_code == 302
    assert listed(desk) == [("Desk", True)]
    assert phone.get("/admin/").status_code == 302


def test_an_idle_session_is_not_listed(clerk: User) -> None:
    phone, desk = browser("Phone"), browser("Desk")
    phone.get("/admin/")
    session = phone.session
    session[SEEN_AT] -= 3_700
    session.save()
    assert listed(desk) == [("Desk", True)]
