"""Recovery codes: created with the second factor, valid once each, shown once."""

from functools import partial

import pytest
from django.test import Client
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.back_office.second_factor import NEW_KEY
from commerce.staff_access import recovery_codes
from tests.back_office.staff import Staff, errors_of
from tests.back_office.test_accounts_second_factor import PASSWORD, code_of, is_wrong, log_in
from tests.factories import StaffFactory
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk() -> User:
    return StaffFactory(username="jimin", password=PASSWORD)


@pytest.fixture
def codes(clerk: User) -> list[str]:
    TOTPDevice.objects.create(user=clerk, name="app")
    return recovery_codes.renew(clerk)


def test_they_are_created_with_the_factor_and_stored_hashed() -> None:
    staff = Staff()
    staff.get("second_factor")
    page = staff.post("second_factor", code=code_of(TOTPDevice(user=staff.user, key=staff.client.session[NEW_KEY])))
    codes = page.context["codes"]
    assert len(set(codes)) == 10
    assert "no-store" in page.headers["Cache-Control"]
    stored = set(StaticToken.objects.values_list("token", flat=True))
    assert len(stored) == 10
    assert not stored & {code.replace("-", "") for code in codes}
    assert "10 recovery codes are left." in staff.get("second_factor").content.decode()
    assert codes[0] not in staff.get("second_factor").content.decode()


def test_each_is_valid_for_one_login(codes: list[str]) -> None:
    assert log_in(codes[0]).status_code == 302
    assert is_wrong(log_in(codes[0]))
    assert log_in(codes[1].lower().replace("-", " ")).status_code == 302
    used = StaffAction.objects.filter(action="Recovery code used").order_by("id")
    assert [action.after for action in used] == [{"codes left": 9}, {"codes left": 8}]


def test_of_concurrent_uses_one_succeeds(codes: list[str]) -> None:
    answers = together([partial(log_in, codes[0])] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 302]


def test_other_accounts_codes_and_other_text_are_refused(codes: list[str]) -> None:
    other = StaffFactory(username="sora", password=PASSWORD)
    TOTPDevice.objects.create(user=other, name="app")
    [foreign, *_rest] = recovery_codes.renew(other)
    for wrong in (foreign, "AAAA-AAAA-AAAA-AAAA", codes[0][:-1], "-" * 16, StaticToken.objects.all()[0].token):
        assert is_wrong(log_in(wrong)), wrong
    assert recovery_codes.left(other) == 10


def test_wrong_codes_count_as_failed_logins(codes: list[str], settings: Settings) -> None:
    settings.LOGIN_FAILURES_PER_MINUTE = 3
    assert [log_in("AAAA-AAAA-AAAA-AAAA").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert log_in(codes[0]).status_code == 429


def test_they_are_valid_for_api_tokens_too(codes: list[str]) -> None:
    login = {"username": "jimin", "password": PASSWORD, "otp": codes[0]}
    answers = [Client().post("/api/auth/token", login, content_type="application/json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]


def test_new_ones_replace_the_old_and_require_a_code(clerk: User, codes: list[str]) -> None:
    staff = Staff()
    staff.client.force_login(clerk)
    assert list(errors_of(staff.post("recovery_codes", code="123"))) == ["code"]
    renewed = staff.post("recovery_codes", code=codes[0]).context["codes"]
    assert is_wrong(log_in(codes[1]))
    assert log_in(renewed[0]).status_code == 302
    assert StaffAction.objects.filter(action="Recovery codes made").count() == 1


def test_they_are_deleted_with_the_second_factor(clerk: User, codes: list[str]) -> None:
    boss = Staff(superuser=True)
    boss.press("second_factor_take_off", clerk.pk, reason="Lost the phone")
    assert recovery_codes.left(clerk) == 0
    assert log_in().status_code == 302


def test_without_a_second_factor_there_are_none() -> None:
    assert Staff().get("recovery_codes").status_code == 302
    assert StaticToken.objects.count() == 0
