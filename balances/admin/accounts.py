"""The back-office pages of accounts: the list with its search, one account, and the adjustment of a balance.

Only superusers change rights. No form edits a balance; `balances.services` adjusts it.
"""

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Case, Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from balances import services
from balances.admin.wallet import DEBIT, AdjustBalanceForm, adjusted
from balances.models import User
from balances.selectors import accounts_named, called
from commerce.audit.record import Staff
from commerce.core.whole_numbers import whole_number
from commerce.notes.panel import panel as notes_panel
from commerce.staff_pages.display import won
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.forms import OpenedForm
from commerce.staff_pages.pages import staff_id
from commerce.staff_pages.timeline import customer_timeline, moment_in, totals_of

# Generic for the type checker only; at run time Django's class takes no parameters.
if TYPE_CHECKING:
    Accounts = UserAdmin[User]
    ChangeForm = forms.ModelForm[User]
else:
    Accounts = UserAdmin
    ChangeForm = UserChangeForm

ON_THE_PAGE = 30
BEFORE = "before"
"""The query parameter of the timeline's next page: show events before this time."""
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")
LISTS = (
    (_("Orders"), "orders.order", "user", "receipt_long"),
    (_("Coupons"), "coupons.usercoupon", "user", "confirmation_number"),
    (_("Ledger"), "balances.ledgerentry", "user", "menu_book"),
)
"""Lists related to an account: title, model, the model's foreign key to the account, icon."""


class AccountForm(OpenedForm, ChangeForm):
    """The fields of an account that staff edit."""

    watched = ("username", "first_name", "last_name", "email", "is_active", *RIGHTS)


@admin.register(User)
class AccountAdmin(Accounts, Exported):
    """Customers and staff. An account is closed by unchecking `active`."""

    list_display = ("id", "username", "email", "wallet", "is_active", "is_staff", "date_joined")
    list_display_links = ("id", "username")
    list_filter = ("is_active", "is_staff")
    search_fields = ("id", "username", "email")
    search_help_text = _("A number, the beginning of a user name or a real name, or a whole e-mail address.")
    ordering = ("-id",)
    readonly_fields = ("wallet", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "wallet", "email", "first_name", "last_name", "is_active", "password")}),
        (_("Rights"), {"fields": RIGHTS}),
        (_("Dates"), {"fields": ("date_joined", "last_login", "opened")}),
    )
    form = AccountForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    export_columns: ClassVar = (
        Column(_("number"), lambda user: user.pk),
        Column(_("user name"), lambda user: user.username),
        Column(_("first name"), lambda user: user.first_name),
        Column(_("last name"), lambda user: user.last_name),
        Column(_("e-mail"), lambda user: user.email),
        Column(_("balance (won)"), lambda user: user.balance),
        Column(_("active"), lambda user: user.is_active),
        Column(_("staff"), lambda user: user.is_staff),
        Column(_("joined"), lambda user: user.date_joined),
    )

    @admin.display(description=_("balance"), ordering="balance")
    def wallet(self, user: User) -> str:
        return won(user.balance)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[User]", search_term: str
    ) -> tuple["QuerySet[User]", bool]:
        """Search by number, name or e-mail address, each with an index; Django's own search would scan the table.

        An account with exactly this user name comes first.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        found = called(term)
        if "@" in term:
            found |= Q(email__iexact=term)
        number = whole_number(term)
        if number is not None:
            found |= Q(pk=number)
        queryset = queryset.filter(found)
        if exact := accounts_named(term):
            is_exact = Case(When(pk__in=exact, then=0), default=1)
            queryset = queryset.order_by(is_exact, *queryset.query.order_by)
        return queryset, False

    # Permissions -------------------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Accounts of staff are for superusers: the right to change one is enough to log in as its owner."""
        if obj is not None and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_adjust_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("balances.adjust_balance")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only superusers change rights; other staff could grant them to themselves."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Hide the password from readers without the change permission, and most rights on a customer's page."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        left_out = set() if self.has_change_permission(request, obj) else {"password", "opened"}
        if not (obj.is_staff or obj.is_superuser):
            left_out |= {"is_superuser", "groups", "user_permissions"}
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in left_out]})
            for title, options in fieldsets
        ]

    # The pages ---------------------------------------------------------------------------------------------------

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> User | None:
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST" and connection.in_atomic_block:
            # Of two concurrent forms the second reads what the first has saved.
            return User.objects.select_for_update(no_key=True).get(pk=found.pk)
        return found

    def get_urls(self) -> list[URLPattern]:
        adjust = self.admin_site.admin_view(self.adjust_balance)
        return [path("<int:user_id>/adjust-balance/", adjust, name="balances_user_adjust"), *super().get_urls()]

    def shown_beside(self, request: HttpRequest, row: User) -> dict[str, Any]:
        """Context shown beside the form: links, totals, notes and the timeline, newest first."""
        before = moment_in(request.GET.get(BEFORE, ""))
        moments, older = customer_timeline(row.pk, request.user.has_perm, before=before, most=ON_THE_PAGE)
        return {
            "tools": self._tools(request, row.pk),
            "totals": totals_of(row.pk, request.user.has_perm),
            "moments": moments,
            "before": before,
            "older": f"?{urlencode({BEFORE: older.isoformat()})}#timeline" if older else "",
            **notes_panel(request, self.opts.label_lower, row.pk),
        }

    def _tools(self, request: HttpRequest, user_id: int) -> list[dict[str, Any]]:
        """Links to related pages that the user may open."""
        tools = []
        if self.has_adjust_permission(request) and user_id != staff_id(request):
            link = reverse("admin:balances_user_adjust", args=[user_id])
            tools.append({"title": _("Adjust balance"), "link": link, "icon": "account_balance_wallet"})
        if request.user.is_superuser and TOTPDevice.objects.filter(user_id=user_id).exists():
            link = reverse("admin:second_factor_take_off", args=[user_id])
            tools.append({"title": _("Remove second factor"), "link": link, "icon": "phonelink_erase"})
        for title, model, field, icon in LISTS:
            app_label, _dot, name = model.partition(".")
            if request.user.has_perm(f"{app_label}.view_{name}"):
                link = f"{reverse(f'admin:{app_label}_{name}_changelist')}?{field}__id__exact={user_id}"
                tools.append({"title": title, "link": link, "icon": icon})
        return tools

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set the password and write the audit record in one transaction."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        if isinstance(form, AdminPasswordChangeForm):
            return ""  # `log_change` reads this as: a new password, no other change
        return super().construct_change_message(request, form, formsets, add)

    # The wallet --------------------------------------------------------------------------------------------------

    def adjust_balance(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Credit or debit one wallet: form, confirmation with the resulting balance, action."""
        if not (self.has_adjust_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        customer = self.get_object(request, str(user_id))
        if customer is None:
            raise Http404
        form = AdjustBalanceForm(request.POST or None)
        shown = {"form": form, "button": _("Continue")}
        if "again" in request.POST:
            form.ask_again()
        elif request.method == "POST" and form.is_valid():
            if form.cleaned_data["confirmed"]:
                if self._adjusted(request, customer, form):
                    return HttpResponseRedirect(reverse("admin:balances_user_change", args=[user_id]))
            else:
                form.foresee(customer)
                if form.is_valid():
                    shown = self._question(customer, form)
        if request.method == "POST" and form.errors:
            form.ask_again()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Adjust balance"),
            "opts": self.opts,
            "original": customer,
            "is_own": customer.pk == staff_id(request),
            "back": reverse("admin:balances_user_change", args=[user_id]),
            **shown,
        }
        return TemplateResponse(request, "admin/balances/user/adjust_balance.html", context)

    def _question(self, customer: User, form: AdjustBalanceForm) -> dict[str, Any]:
        return {
            "form": form.question(),
            "is_question": True,
            "button": _("Yes, debit") if form.cleaned_data["direction"] == DEBIT else _("Yes, credit"),
            "is_danger": form.cleaned_data["direction"] == DEBIT,
            "amount": form.amount,
            "balance_after": customer.balance + form.amount,
            "reason": form.cleaned_data["reason"],
        }

    def _adjusted(self, request: HttpRequest, customer: User, form: AdjustBalanceForm) -> bool:
        by = Staff(staff_id(request), form.cleaned_data["reason"])
        sentence = form.try_once(
            lambda idempotency: services.adjust_balance(
                user_id=customer.pk, amount=form.amount, by=by, idempotency=idempotency
            ),
            adjusted,
            staff_id=by.id,
            path=request.path,
        )
        if sentence:
            self.message_user(request, sentence, messages.SUCCESS)
        return bool(sentence)
