"""The back-office's login form, behind the same limits as the API's.

Owns that no password is checked here without being counted; the page is the back-office's.
"""

from typing import Any

from unfold.forms import AuthenticationForm

from commerce.http.throttling import login_attempt


class StaffLoginForm(AuthenticationForm):
    """Raises Throttled, which `commerce.http.back_office.Refusals` tells in a page."""

    def clean(self) -> Any:
        # Without both, no password is checked: neither a failure to be counted nor a success that would forgive some.
        if self.request is None or not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        with login_attempt(self.request, self.cleaned_data["username"]):
            return super().clean()
