"""How every page of the back-office behaves, whatever it shows.

Owns four promises: nothing is deleted, history is only read, what is written goes through a service, and a forged
form is refused.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import DataError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from commerce.core.errors import ChangedMeanwhile, DomainError

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


@contextmanager
def _forgeries_refused() -> Iterator[None]:
    """No page offers a value that the database has no room for: a number too large, text with a NUL.

    Raises SuspiciousOperation.
    """
    try:
        yield
    except DataError as error:
        raise SuspiciousOperation("The database has no room for a value.") from error


class OpenedForm(Form):
    """A form that is saved only over what its page showed.

    The page carries a fingerprint of the fields in `watched`; one that was opened before somebody else saved is
    refused. Of two at one moment the services decide, by `seen`.
    """

    watched: ClassVar[tuple[str, ...]] = ()

    opened = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Now, before the form writes what was sent into the instance.
        self.seen: dict[str, Any] = {} if self.instance._state.adding else _values(self.instance, self.watched)
        self._state = hashlib.sha256(repr(sorted(self.seen.items())).encode()).hexdigest() if self.seen else ""
        self.initial["opened"] = self._state

    def clean_opened(self) -> str:
        if self.cleaned_data["opened"] not in ("", self._state):
            self.add_error(None, str(ChangedMeanwhile()))
        return self._state


def _values(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    """The row's fields by name; of those with many values their keys, in order."""
    return {
        name: sorted(each.pk for each in value) if isinstance(value, list) else value
        for name, value in forms.model_to_dict(row, fields=names).items()
    }


class KeptForever(Page):
    """Rows are switched off, cancelled or corrected, never deleted."""

    # Counting a large table once per page for the filters is enough; the unfiltered count would double it.
    show_full_result_count = False
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._refuse_forged_list(request)
        with _forgeries_refused():
            return super().changelist_view(request, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        with _forgeries_refused():
            return super().changeform_view(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        with _forgeries_refused():
            return super().delete_view(request, object_id, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        with _forgeries_refused():
            return super().history_view(request, object_id, extra_context)

    def _refuse_forged_list(self, request: HttpRequest) -> None:
        """What Django takes for granted in the addresses and boxes of its own lists. Raises SuspiciousOperation."""
        years = [str(value) for name, value in request.GET.items() if name.endswith("__year")]
        if not all(year.isascii() and year.isdigit() and len(year) <= 4 and int(year) > 0 for year in years):
            raise SuspiciousOperation("There is no such year.")
        try:
            for box in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.model._meta.pk.to_python(box)
        except ValidationError as error:
            raise SuspiciousOperation("A box stands for no row.") from error


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
            with _forgeries_refused():
                # Django's own page, past the wrapper that adds the transaction.
                page: HttpResponse = self._changeform_view(  # type: ignore[attr-defined]  # not in the stubs
                    request, object_id, form_url, extra_context
                )
        except DomainError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return page
