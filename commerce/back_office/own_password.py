"""Changing one's own password, with an audit record in the same transaction."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from unfold.forms import AdminOwnPasswordChangeForm

from commerce.audit.record import Staff, record
from commerce.staff_pages.pages import PASSWORD_CHANGED


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """Requires the old password as well."""

    def save(self, commit: bool = True) -> Any:
        with transaction.atomic():
            user = super().save(commit=commit)
            record(Staff(user.pk), PASSWORD_CHANGED, user)
        return user


def page(site: AdminSite, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
    """`AdminSite.password_change` with another form, which that method does not accept."""
    request.current_app = site.name
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse("admin:password_change_done"),
        extra_context={**site.each_context(request), **(extra_context or {})},
    )
    return view(request)
