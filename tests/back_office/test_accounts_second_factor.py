"""The second factor of staff: setup, codes at the login, rate limits, removal."""

import time
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.back_office.second_factor import NEW_KEY
from tests.back_office.staff import Staff, errors_of, messages_on
from tests.factories import StaffFactory
from tests.together import together

pytestmark = [pytest.mark.django_db(transaction=True)]

PASSWORD = "tangerine-4711"
WRONG = "The code of the second factor is missing or wrong."


@pytest.fixture
def clerk() -> User:
    return StaffFactory(username="jimin", password=PASSWORD)


@pytest.fixture
def device(clerk: User) -> TOTPDevice:
    made: TOTPDevice = TOTPDevice.objects.create(user=clerk, name="app")
    return made


def code_of(device: TOTPDevice, *, steps: int = 0) -> str:
    """The code of the app now, or `steps` half minutes later."""
    shown = TOTP(device.bin_key, device.step, device.t0, device.digits)
    shown.time = time.time() + steps * device.step
    return f"{shown.token():06d}"


def wrong_code(device: TOTPDevice) -> str:
    """Six digits that are not a valid code now or nearby."""
    near = {code_of(device, steps=steps) for steps in range(-3, 4)}
    return next(digits for digits in map("{:06d}".format, range(10)) if digits not in near)


def log_in(code: str | None = None, username: str = "jimin") -> Any:
    form = {"username": username, "password": PASSWORD, **({} if code is None else {"code": code})}
    return Client().post("/admin/login/?next=/admin/", form)


def is_wrong(answer: Any) -> bool:
    return answer.status_code == 200 and WRONG in answer.content.decode()


class TestTheLogin:
    """A code is required only from accounts with a second factor."""

    def test_without_a_second_factor_needs_no_code(self, clerk: User) -> None:
        assert log_in().status_code == 302
        assert log_in("").status_code == 302

    def test_requires_the_current_code(self, device: TOTPDevice) -> None:
        assert is_wrong(log_in())
        assert is_wrong(log_in(""))
        code = code_of(device)
        assert log_in(f"{code[:3]} {code[3:]}").status_code == 302

    @pytest.mark.parametrize("code", ["abcdef", "12345", "-12345", "1.5e3", "１２３４５６"])
    def test_refuses_anything_else(self, device: TOTPDevice, code: str) -> None:
        assert is_wrong(log_in(code))

    def test_accepts_a_code_once(self, device: TOTPDevice) -> None:
        code = code_of(device)
        assert log_in(code).status_code == 302
        assert is_wrong(log_in(code))

    def test_accepts_a_code_once_in_concurrent_logins(self, device: TOTPDevice) -> None:
        code = code_of(device)
        answers = together([partial(log_in, code)] * 4)
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 302]

    def test_refuses_another_accounts_code(self, device: TOTPDevice) -> None:
        other = TOTPDevice.objects.create(user=StaffFactory(username="sora", password=PASSWORD), name="app")
        assert is_wrong(log_in(code_of(other)))

    def test_reveals_nothing_before_the_password_is_right(self, device: TOTPDevice) -> None:
        form = {"username": "jimin", "password": "guess", "code": code_of(device)}
        answer = Client().post("/admin/login/?next=/admin/", form)
        assert answer.status_code == 200
        assert WRONG not in answer.content.decode()

    def test_counts_wrong_codes_as_failed_logins(self, device: TOTPDevice, settings: Settings) -> None:
        settings.LOGIN_FAILURES_PER_MINUTE = 3
        wrong = wrong_code(device)
        assert [log_in(wrong).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert log_in(code_of(device)).status_code == 429

    def test_increases_the_wait_with_each_wrong_code(self, device: TOTPDevice) -> None:
        """Also if the limits of logins are disabled."""
        wrong = wrong_code(device)
        for _ in range(3):
            assert is_wrong(log_in(wrong))
        assert is_wrong(log_in(code_of(device)))


class TestSettingItUp:
    """Staff set up their own second factor."""

    PAGE = "second_factor"

    def shown(self, staff: Staff) -> TOTPDevice:
        """The device whose key is on the page."""
        opened = staff.get(self.PAGE)
        device = TOTPDevice(user=staff.user, key=staff.client.session[NEW_KEY])
        page = opened.content.decode()
        assert opened.context["secret"] in page
        assert "<svg" in page
        assert device.config_url == opened.context["uri"]
        return device

    def test_needs_the_code_of_the_key_that_is_shown(self) -> None:
        staff = Staff()
        device = self.shown(staff)
        assert self.shown(staff).key == device.key
        answer = staff.post(self.PAGE, code=code_of(device))
        assert "From now on a code is required when you log in." in answer.content.decode()
        stored = TOTPDevice.objects.get()
        assert (stored.user_id, stored.key, stored.confirmed) == (staff.user.pk, device.key, True)
        assert NEW_KEY not in staff.client.session

    def test_uses_up_the_code(self, clerk: User) -> None:
        staff = Staff()
        staff.client.force_login(clerk)
        staff.user = clerk
        code = code_of(self.shown(staff))
        assert "codes" in staff.post(self.PAGE, code=code).context
        assert is_wrong(log_in(code))

    def test_is_refused_with_a_wrong_code(self) -> None:
        staff = Staff()
        device = self.shown(staff)
        for code in (wrong_code(device), "", "abc", "１２３４５６"):
            assert list(errors_of(staff.post(self.PAGE, code=code))) == ["code"]
        assert TOTPDevice.objects.count() == StaffAction.objects.count() == 0

    def test_is_recorded_without_its_key(self) -> None:
        staff = Staff()
        staff.post(self.PAGE, code=code_of(self.shown(staff)))
        entry = StaffAction.objects.get()
        assert (entry.actor_id, entry.action, entry.subject_id) == (
            staff.user.pk,
            "Second factor set up",
            str(staff.user.pk),
        )
        assert (entry.before, entry.after) == ({}, {})

    def test_is_done_once(self) -> None:
        staff = Staff()
        device = self.shown(staff)
        answers = together([partial(staff.post, self.PAGE, code=code_of(device))] * 3)
        assert {answer.status_code for answer in answers} <= {200, 302}
        assert TOTPDevice.objects.count() == StaffAction.objects.count() == 1

    def test_is_not_shown_again(self) -> None:
        staff = Staff()
        key = self.shown(staff).key
        staff.post(self.PAGE, code=code_of(TOTPDevice(user=staff.user, key=key)))
        opened = staff.get(self.PAGE)
        assert "secret" not in opened.context
        assert "<svg" not in opened.content.decode()

    def test_is_for_staff(self) -> None:
        assert Client().get("/admin/second-factor/").status_code == 302


class TestTakingItOff:
    """Removal by the owner with a code, or by a superuser with a reason."""

    def test_needs_a_code(self, clerk: User, device: TOTPDevice) -> None:
        staff = Staff()
        staff.client.force_login(clerk)
        assert errors_of(staff.post("second_factor", code=wrong_code(device))) == {"code": [WRONG]}
        assert TOTPDevice.objects.count() == 1
        TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
        answer = staff.post("second_factor", code=code_of(device))
        assert messages_on(answer) == ["From now on your password is enough."]
        assert TOTPDevice.objects.count() == 0
        assert StaffAction.objects.get().action == "Second factor taken off"
        assert log_in().status_code == 302

    def test_by_its_owner_is_limited_like_the_login(self, clerk: User, device: TOTPDevice, settings: Settings) -> None:
        settings.LOGIN_FAILURES_PER_MINUTE = 3
        staff = Staff()
        staff.client.force_login(clerk)
        wrong = wrong_code(device)
        assert [staff.post("second_factor", code=wrong).status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_a_superuser_may_remove_another_accounts(self, clerk: User, device: TOTPDevice) -> None:
        boss = Staff(superuser=True)
        page = boss.get("balances_user_change", clerk.pk)
        assert "Remove second factor" in [str(tool["title"]) for tool in page.context["tools"]]
        assert list(errors_of(boss.post("second_factor_take_off", clerk.pk, reason=" "))) == ["reason"]
        assert boss.post("second_factor_take_off", clerk.pk, reason="Lost the phone.").status_code == 302
        entry = StaffAction.objects.get()
        assert (entry.actor_id, entry.action, entry.subject_id, entry.reason) == (
            boss.user.pk,
            "Second factor taken off",
            str(clerk.pk),
            "Lost the phone.",
        )
        assert log_in().status_code == 302
        assert boss.post("second_factor_take_off", clerk.pk, reason="Again.").status_code == 302
        assert StaffAction.objects.exclude(action="Logged in").count() == 1

    def test_other_staff_may_not_remove_it(self, clerk: User, device: TOTPDevice) -> None:
        for staff in (Staff("balances.view_user", "balances.change_user"), Staff()):
            assert staff.get("second_factor_take_off", clerk.pk).status_code == 403
            assert staff.post("second_factor_take_off", clerk.pk, reason="Mine.").status_code == 403
        boss = Staff(superuser=True)
        assert boss.post("second_factor_take_off", boss.user.pk, reason="Mine.").status_code == 403
        assert boss.get("second_factor_take_off", 999_999_999).status_code == 404
        assert TOTPDevice.objects.count() == 1
