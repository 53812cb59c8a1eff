"""How every page of the back-office behaves, whatever it shows.

Owns three promises: nothing is deleted, history is only read, and what is written goes through a service.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from commerce.core.errors import DomainError

# Generic for the type checker only; at run time Django's classes take no parameters.
if TYPE_CHECKING:
    Page = admin.ModelAdmin[Any]
    Rows = admin.TabularInline[Any, Any]
    Form = forms.ModelForm[Any]
else:
    Page, Rows, Form = admin.ModelAdmin, admin.TabularInline, forms.ModelForm


def staff_id(request: HttpRequest) -> int:
    """The account that is at work on this page. Raises PermissionDenied for nobody."""
    if request.user.pk is None:
        raise PermissionDenied
    return request.user.pk


class KeptForever(Page):
    """Rows are switched off, cancelled or corrected, never deleted."""

    # Counting a large table once per page for the filters is enough; the unfiltered count would double it.
    show_full_result_count = False
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnly(KeptForever):
    """History: whoever may see it may do no more than that."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyRows(Rows):
    """Rows shown on the page of what they belong to."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ThroughServices(KeptForever):
    """`save_model` hands the object to a service, which takes its own locks and opens its own transaction.

    Django would wrap the whole page into one transaction, and locks taken inside a transaction are released before
    its COMMIT; so this page has none.
    """

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            # Django's own page, past the wrapper that adds the transaction.
            page: HttpResponse = self._changeform_view(  # type: ignore[attr-defined]  # not in the stubs
                request, object_id, form_url, extra_context
            )
        except DomainError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return page
