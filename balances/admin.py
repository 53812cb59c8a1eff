"""Accounts and the ledger in the back-office. No page changes a balance."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db import connection
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from balances.models import LedgerEntry, User
from commerce.staff_pages.forms import OpenedForm
from commerce.staff_pages.pages import KeptForever, ReadOnly

# Generic for the type checker only; at run time Django's class takes no parameters.
if TYPE_CHECKING:
    Accounts = UserAdmin[User]
    ChangeForm = forms.ModelForm[User]
else:
    Accounts = UserAdmin
    ChangeForm = UserChangeForm


class AccountForm(OpenedForm, ChangeForm):
    """What staff say about an account."""

    watched = (
        "username",
        "first_name",
        "last_name",
        "email",
        *("is_active", "is_staff", "is_superuser", "groups", "user_permissions"),
    )


@admin.register(User)
class AccountAdmin(Accounts, KeptForever):
    """Customers and staff. Closing an account is taking its `active` away."""

    list_display = ("id", "username", "email", "balance", "is_active", "is_staff", "date_joined")
    list_display_links = ("id", "username")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("id__exact", "username", "email", "first_name", "last_name")
    ordering = ("id",)
    readonly_fields = ("balance", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("Wallet"), {"fields": ("balance",)}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "date_joined", "opened")}),
    )
    form = AccountForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> User | None:
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST" and connection.in_atomic_block:
            # Of two forms at one moment the second reads what the first has saved.
            return User.objects.select_for_update(no_key=True).get(pk=found.pk)
        return found

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Who may do what is for superusers to say; other staff would give it to themselves."""
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return (*fields, "is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(LedgerEntry)
class LedgerAdmin(ReadOnly):
    """Every won that moved."""

    list_display = ("id", "user", "type", "amount", "balance_after", "order_id", "created_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("user__username__exact", "order_id__exact")
    search_help_text = _("A user name or an order number.")
    ordering = ("-id",)
