"""Logins and sessions of staff: lifetime, idle timeout, logout."""

import re
import time

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.staff_access.session_ends import BEGAN_AT, SEEN_AT
from tests.factories import StaffFactory
from tests.shop_state import statements

pytestmark = [pytest.mark.django_db(transaction=True)]

PASSWORD = "tangerine-4711"
INDEX = "/admin/jsi18n/"
"""The cheapest page that requires a login."""
HOUR = 3_600


@pytest.fixture
def clerk() -> User:
    return StaffFactory(username="jimin", password=PASSWORD)


@pytest.fixture
def browser(clerk: User) -> Client:
    client = Client()
    answer = client.post("/admin/login/?next=/admin/", {"username": "jimin", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    answer = client.get(INDEX)
    if answer.status_code == 302:
        assert answer.headers["Location"] == f"/admin/login/?next={INDEX}"
    return answer.status_code == 200


def shift(client: Client, **seconds: int) -> None:
    """Move the start, or the last use, of the session into the past."""
    session = client.session
    for name, earlier in seconds.items():
        session[name] -= earlier
    session.save()


def test_an_active_session_lasts_twelve_hours(browser: Client) -> None:
    shift(browser, began_at=12 * HOUR - 60)
    assert is_in(browser)
    shift(browser, began_at=60)
    assert not is_in(browser)


def test_activity_does_not_extend_the_lifetime(browser: Client) -> None:
    """The lifetime counts from the login, although the cookie is renewed."""
    for _ in range(11):
        shift(browser, began_at=HOUR, seen_at=50 * 60)
        assert is_in(browser)
    shift(browser, began_at=HOUR, seen_at=50 * 60)
    assert not is_in(browser)


def test_an_idle_session_ends_after_an_hour(browser: Client) -> None:
    shift(browser, seen_at=HOUR - 60)
    assert is_in(browser)
    shift(browser, seen_at=HOUR)
    assert not is_in(browser)


def test_control_without_the_limit_it_continues(browser: Client, settings: Settings) -> None:
    settings.SESSION_IDLE_MINUTES = 10_000
    shift(browser, seen_at=2 * HOUR)
    assert is_in(browser)


def test_an_ended_session_is_deleted(browser: Client) -> None:
    old_cookie = browser.cookies["sessionid"].value
    shift(browser, seen_at=2 * HOUR)
    assert not is_in(browser)
    assert not Session.objects.filter(session_key=old_cookie).exists()
    again = Client()
    again.cookies["sessionid"] = old_cookie
    assert not is_in(again)


def test_its_row_is_updated_at_most_once_a_minute(browser: Client) -> None:
    with statements() as ran:
        assert is_in(browser)
    assert [each for each in ran if each.startswith("UPDATE")] == []
    shift(browser, seen_at=61)
    with statements() as ran:
        assert is_in(browser)
    assert len([each for each in ran if each.startswith("UPDATE")]) == 1
    assert int(time.time()) - browser.session[SEEN_AT] < 60
    assert browser.session[BEGAN_AT] <= browser.session[SEEN_AT]


def test_api_requests_read_no_session(clerk: User) -> None:
    with statements() as ran:
        Client().get("/api/products")
    assert not any("django_session" in each for each in ran)


def test_logging_out_ends_the_session_and_not_only_the_cookie(browser: Client) -> None:
    old_cookie = browser.cookies["sessionid"].value
    assert browser.get("/admin/logout/").status_code == 405
    assert is_in(browser)
    assert browser.post("/admin/logout/").status_code == 200
    assert not is_in(browser)
    assert not Session.objects.filter(session_key=old_cookie).exists()


def test_a_password_change_ends_all_other_sessions(browser: Client, clerk: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(clerk)
    form = {"old_password": PASSWORD, "new_password1": "mandarin-4712", "new_password2": "mandarin-4712"}
    answer = browser.post("/admin/password_change/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/password_change/done/")
    assert is_in(browser)
    assert not is_in(elsewhere)
    clerk.refresh_from_db()
    assert clerk.check_password("mandarin-4712")


def test_an_own_password_change_is_recorded_without_it(browser: Client, clerk: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": "mandarin-4712", "new_password2": "mandarin-4712"}
    assert browser.post("/admin/password_change/", {**form, "old_password": "guess"}).status_code == 200
    changed = StaffAction.objects.filter(action="Password changed")
    assert changed.count() == 0
    assert browser.post("/admin/password_change/", form).status_code == 302
    entry = changed.get()
    assert (entry.actor_id, entry.action, entry.subject_type, entry.subject_id) == (
        clerk.pk,
        "Password changed",
        "balances.user",
        str(clerk.pk),
    )
    assert (entry.before, entry.after) == ({}, {})


def test_a_login_creates_a_new_session(clerk: User) -> None:
    """Protects against session fixation."""
    browser = Client()
    browser.get("/admin/login/")
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = session.session_key or ""
    browser.post("/admin/login/?next=/admin/", {"username": "jimin", "password": PASSWORD})
    assert browser.cookies["sessionid"].value != session.session_key


def test_the_login_page_asks_for_a_code_as_well(clerk: User) -> None:
    page = Client().get(reverse("admin:login")).content.decode()
    names = re.findall(r'<input[^>]* name="(\w+)"', page)
    assert [name for name in names if name != "csrfmiddlewaretoken"] == ["username", "password", "code"]
