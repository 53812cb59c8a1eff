"""Refusals of wallet operations and of logins."""

from typing import Annotated, Literal, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import Forbidden, NotFound, Refused, Unauthenticated


class UserNotFound(NotFound):
    """There is no such account, or it is closed."""

    code = "user_not_found"
    title = _("User not found")

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id

    @property
    def detail(self) -> str | Promise:
        return _("There is no user %(user_id)d.") % {"user_id": self.user_id}


class Shortfall(TypedDict):
    balance: Annotated[int, Meta(description="What the account holds, in won.")]
    required: Annotated[int, Meta(description="What the payment needs, in won.")]


class InsufficientBalance(Refused):
    """The balance is lower than the payment."""

    code = "insufficient_balance"
    title = _("Insufficient balance")

    def __init__(self, *, balance: int, required: int) -> None:
        self.balance = balance
        self.required = required

    @property
    def detail(self) -> str | Promise:
        return _("The balance is %(balance)s won, %(required)s won are needed.") % {
            "balance": f"{self.balance:,}",
            "required": f"{self.required:,}",
        }

    @property
    def fields(self) -> Shortfall:
        return {"balance": self.balance, "required": self.required}


class Ceiling(TypedDict):
    balance: Annotated[int, Meta(description="What the account holds, in won.")]
    limit: Annotated[int, Meta(description="What an account may hold, in won.")]


class BalanceLimitExceeded(Refused):
    """The balance would exceed the limit of an account."""

    code = "balance_limit_exceeded"
    title = _("Balance limit exceeded")

    def __init__(self, *, balance: int, limit: int) -> None:
        self.balance = balance
        self.limit = limit

    @property
    def detail(self) -> str | Promise:
        return _("The balance is %(balance)s won and may not pass %(limit)s won.") % {
            "balance": f"{self.balance:,}",
            "limit": f"{self.limit:,}",
        }

    @property
    def fields(self) -> Ceiling:
        return {"balance": self.balance, "limit": self.limit}


class OwnWallet(Forbidden):
    """Staff may not adjust their own balance."""

    code = "own_wallet"
    title = _("Your own wallet")

    @property
    def detail(self) -> str | Promise:
        return _("This is your own wallet. A colleague has to adjust it.")


class InvalidCredentials(Unauthenticated):
    """The name or the password is wrong, or the account is closed. The response does not say which."""

    code = "not_authenticated"
    title = _("Not authenticated")

    @property
    def detail(self) -> str | Promise:
        return _("These credentials are not valid.")


class CodeNeeded(TypedDict):
    otpRequired: Annotated[Literal[True], Meta(description="Send the code of the second factor as `otp`.")]


class SecondFactorNeeded(Unauthenticated):
    """Name and password are correct, but the code of the second factor is missing or wrong."""

    code = "not_authenticated"
    title = _("Not authenticated")

    @property
    def detail(self) -> str | Promise:
        return _("The code of the second factor is missing or wrong.")

    @property
    def fields(self) -> CodeNeeded:
        return {"otpRequired": True}


class AccountClosed(Unauthenticated):
    """The account of the token was deleted or closed."""

    code = "token_not_valid"
    title = _("Token not valid")

    @property
    def detail(self) -> str | Promise:
        return _("The account of this token is closed.")
