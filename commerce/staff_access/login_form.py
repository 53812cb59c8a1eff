"""The login form of the back-office, with the same rate limits as the API's login.

Every check of a password or a code of the second factor is counted.
"""

from typing import Any

import django_otp
from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.forms import AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from commerce.api.throttling import client_address, login_attempt
from commerce.audit.record import Staff, record
from commerce.staff_access import recovery_codes

CODE_DIGITS = 6
MOST_CODE_CHARACTERS = 32
"""The length of a recovery code with its separators."""
RECOVERY_CODE_USED = gettext_noop("Recovery code used")
LOGGED_IN = gettext_noop("Logged in")
LOGIN_FAILED = gettext_noop("Login failed")
User = get_user_model()


class CodeField(forms.CharField):
    """The current six digits of the app, which may be typed in two groups, or a recovery code."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"autocomplete": "one-time-code", "class": " ".join(BASE_INPUT_CLASSES)}
        super().__init__(label=_("Code"), max_length=MOST_CODE_CHARACTERS, widget=forms.TextInput(attrs), **kwargs)

    def to_python(self, value: Any) -> str:
        return "".join(str(super().to_python(value)).split())


class StaffLoginForm(AuthenticationForm):
    """Raises Throttled, which `commerce.staff_access.middleware.Refusals` renders as a page."""

    code = CodeField(required=False, help_text=_("Only with a second factor: the code of the app, or a recovery code."))

    def clean(self) -> Any:
        # Without both, no password is checked: it is neither a failure to count nor a success that resets the counter.
        if self.request is None or not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        try:
            with login_attempt(self.request, self.cleaned_data["username"]):
                cleaned = super().clean()
                require_code(self.get_user(), self.cleaned_data.get("code", ""))
        except ValidationError:
            # Logged for staff accounts only. The number of failures is limited.
            named = User.objects.filter(username=self.cleaned_data["username"], is_staff=True).first()
            if named is not None:
                self._record(named, LOGIN_FAILED)
            raise
        self._record(self.get_user(), LOGGED_IN)
        return cleaned

    def _record(self, account: Any, action: str) -> None:
        with transaction.atomic():
            record(Staff(account.pk), action, account, after={"address": client_address(self.request)})


def require_code(user: Any, code: str) -> None:
    """Verify the code of the account's second factor, if it has one. A code is valid once.

    Must be called inside `login_attempt`, which counts wrong codes. Raises ValidationError.
    """
    device = second_factor_of(user)
    if device is not None and not (code and _is_good(user, device, code)):
        raise ValidationError(_("The code of the second factor is missing or wrong."), code="wrong_code")


def _is_good(user: Any, device: TOTPDevice, code: str) -> bool:
    """Whether the code is valid: a code of the app, or a recovery code, whose use is recorded."""
    code = "".join(code.split())
    if len(code) <= CODE_DIGITS:
        return bool(django_otp.verify_token(user, device.persistent_id, code))
    with transaction.atomic():
        if not recovery_codes.use_up(user, code):
            return False
        record(Staff(user.pk), RECOVERY_CODE_USED, user, after={"codes left": recovery_codes.left(user)})
    return True


def second_factor_of(user: Any) -> TOTPDevice | None:
    """The configured second factor of the account, or None."""
    device: TOTPDevice | None = TOTPDevice.objects.devices_for_user(user, confirmed=True).first()
    return device
