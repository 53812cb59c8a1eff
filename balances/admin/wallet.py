"""The form that credits or debits a wallet, its messages and its confirmation step."""

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminRadioSelectWidget

from balances.errors import BalanceLimitExceeded, InsufficientBalance, UserNotFound
from balances.models import User
from balances.rules import Entry
from commerce.core.errors import DomainError
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.display import won, won_moved
from commerce.staff_pages.forms import ReasonForm

CREDIT, DEBIT = "credit", "debit"


class AdjustBalanceForm(IdempotentForm, ReasonForm):
    """Direction, amount and reason. The first POST shows a confirmation; the second one, confirmed, does it."""

    direction = forms.ChoiceField(
        label=_("what to do"),
        choices=((CREDIT, _("Credit: the customer gets")), (DEBIT, _("Debit: the customer pays"))),
        widget=UnfoldAdminRadioSelectWidget,
    )
    # No account holds more than the limit, so no adjustment is larger.
    amount_won = forms.IntegerField(label=_("amount (won)"), min_value=1, max_value=settings.BALANCE_LIMIT_WON)
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    field_order = ("direction", "amount_won", "reason")

    @property
    def amount(self) -> int:
        """Won: positive for a credit, negative for a debit."""
        amount_won: int = self.cleaned_data["amount_won"]
        return amount_won if self.cleaned_data["direction"] == CREDIT else -amount_won

    def question(self) -> "AdjustBalanceForm":
        """The same form with hidden fields, for the confirmation step."""
        asked = AdjustBalanceForm(initial={**self.cleaned_data, "confirmed": True})
        for field in asked.fields.values():
            field.widget = forms.HiddenInput()
        return asked

    def ask_again(self) -> None:
        """Show the input fields again; the next POST asks for confirmation again."""
        self.data = {**{name: self.data.get(name) for name in self.fields}, "confirmed": ""}

    def foresee(self, customer: User) -> None:
        """Show refusals early, judged by the displayed balance; the service decides with the locked row."""
        if not customer.is_active:
            self.refuse(UserNotFound(customer.pk))
        elif customer.balance + self.amount < 0:
            self.refuse(InsufficientBalance(balance=customer.balance, required=-self.amount))
        elif self.amount > 0 and customer.balance + self.amount > settings.BALANCE_LIMIT_WON:
            self.refuse(BalanceLimitExceeded(balance=customer.balance, limit=settings.BALANCE_LIMIT_WON))

    def refuse(self, refusal: DomainError) -> None:
        """Attach the refusal to its field, with a message that fits the form."""
        if isinstance(refusal, InsufficientBalance):
            sentence = _("The balance is %(balance)s and cannot become negative.")
            self.add_error("amount_won", sentence % {"balance": won(refusal.balance)})
        elif isinstance(refusal, BalanceLimitExceeded):
            sentence = _("The balance is %(balance)s and cannot exceed %(limit)s.")
            values = {"balance": won(refusal.balance), "limit": won(refusal.limit)}
            self.add_error("amount_won", sentence % values)
        elif isinstance(refusal, UserNotFound):
            self.add_error(None, _("This account is closed. Its balance cannot be adjusted."))
        else:
            super().refuse(refusal)


def adjusted(entry: Entry) -> str:
    """The success message."""
    values = {"balance": won(entry.balance_after), "amount": won_moved(entry.amount)}
    return str(_("The balance is %(balance)s now (%(amount)s).") % values)
