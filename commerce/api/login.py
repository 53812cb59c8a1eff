"""Checks a user name and a password, for the API and the back-office.

Both are normalized before they are compared. Callers create the tokens and sessions.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from commerce.core.text import decomposed, normal


class LoginBackend(ModelBackend):
    """Django's backend, which treats composed and decomposed spellings of names and passwords as equal.

    Names are stored in NFKC, as by Django's forms. Passwords are hashed in NFC (`User.set_password`); an older hash of
    a decomposed password is replaced at the next login.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_other: Any
    ) -> Any:
        if username is None or password is None:
            return None
        model = get_user_model()
        name = model.normalize_username(username)
        account = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
        spellings = dict.fromkeys((normal(password), decomposed(password)))
        if account is None:
            # The response takes as long for an unknown name as for a wrong password.
            for spelling in spellings:
                model().set_password(spelling)
            return None
        matched = next((spelling for spelling in spellings if account.check_password(spelling)), None)
        if matched is None or not self.user_can_authenticate(account):
            return None
        if matched != normal(password):
            account.set_password(password)
            account.save(update_fields=["password"])
        return account
