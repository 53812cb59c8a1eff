"""Base classes of all back-office pages.

They ensure that nothing is deleted, history is read-only, writes go through services, actions of staff are recorded,
and forged requests are refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import DataError
from django.db.models import CharField, Model, QuerySet, TextField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin, TabularInline
from unfold.views import ChangeList

from commerce.audit.record import Staff, actions_on, record
from commerce.core.errors import ChangedMeanwhile, DomainError
from commerce.core.visible_text import validate_visible
from commerce.staff_pages import recent
from commerce.staff_pages.audit_display import newest_change
from commerce.staff_pages.filters import unreadable_values
from commerce.staff_pages.list_head import list_head
from commerce.staff_pages.paging import CappedPaginator

# Generic for the type checker only; at run time the classes take no parameters. The library's are untyped.
if TYPE_CHECKING:
    Page = admin.ModelAdmin[Any]
    DjangoPage = admin.ModelAdmin[Any]
    Rows = admin.TabularInline[Any, Any]
else:
    Page, DjangoPage, Rows = ModelAdmin, admin.ModelAdmin, TabularInline

ADDED = gettext_noop("Added")
CHANGED = gettext_noop("Changed")
PASSWORD_CHANGED = gettext_noop("Password changed")
ON_THE_HISTORY_PAGE = 200
MOST_CHARACTERS_SHOWN = 80
"""The length to which an invalid value is truncated in a message."""
NEVER_SHOWN = ("password", "password1", "password2", "opened", "confirmed")


def staff_id(request: HttpRequest) -> int:
    """The id of the logged-in account. Raises PermissionDenied for anonymous users."""
    if request.user.pk is None:
        raise PermissionDenied
    return request.user.pk


@contextmanager
def forgeries_refused() -> Iterator[None]:
    """Within the block, values that the database or a filter cannot process raise SuspiciousOperation.

    Examples are numbers that are too large, and text with a NUL; no page offers such values.
    """
    try:
        yield
    except (DataError, IncorrectLookupParameters) as error:
        raise SuspiciousOperation("A value is of no use to a filter or the database.") from error


class LongList(ChangeList):
    """A list that offers "show all" only if rows are left out."""

    # The theme asks for it, and a template searches all attributes of an object for one that is missing.
    is_dataset = False

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not (self.query or self.has_active_filters):
            self.full_result_count = self.result_count


class NoDeleteAdmin(Page):
    """Rows are deactivated, cancelled or corrected, never deleted."""

    paginator = CappedPaginator
    show_full_result_count = False
    # Facet counts would count the whole table once for each choice.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = True
    list_before_template = "admin/list_head.html"
    warn_unsaved_form = True
    # The theme asks for it for each row, and a template searches all attributes of an object for one that is missing.
    list_sections = ()
    most_selected: int | None = None
    """The maximum number of rows of an action; a longer list does not offer to select all. None: any number."""
    is_history = False
    """Whether its list may be read from a replica (`commerce.staff_pages.recent`)."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return LongList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._refuse_forged_list(request)
        with forgeries_refused():
            if self.is_history:
                return recent.read(request, lambda: self._list_page(request, extra_context))
            return self._list_page(request, extra_context)

    def _list_page(self, request: HttpRequest, extra_context: Any) -> HttpResponse:
        page = super().changelist_view(request, extra_context)
        if not isinstance(page, TemplateResponse):
            return page
        self._say_what_is_not_filtered(request, page)
        if page.context_data and "cl" in page.context_data:
            page.context_data |= self.shown_above(request, page.context_data["cl"])
        # Rendered here, because some filters query the database only when rendered.
        return page.render()

    def _say_what_is_not_filtered(self, request: HttpRequest, page: TemplateResponse) -> None:
        if ERROR_FLAG in request.GET:
            sentence = _("The address has a filter or a value that cannot be read, so nothing is filtered by it.")
            self.message_user(request, sentence, messages.WARNING)
        changelist = (page.context_data or {}).get("cl")
        for title, value in unreadable_values(changelist) if changelist else ():
            sentence = _("“%(value)s” is not a value of the filter “%(filter)s”.")
            shown = sentence % {"value": Truncator(value).chars(MOST_CHARACTERS_SHOWN), "filter": title}
            self.message_user(request, shown, messages.WARNING)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        with forgeries_refused():
            return super().changeform_view(request, object_id, form_url, extra_context)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Refuse text with invisible characters (`validate_visible`) in all forms."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(db_field, CharField | TextField):
            field.validators.append(validate_visible)
        return field

    def shown_above(self, request: HttpRequest, changelist: Any) -> dict[str, Any]:
        """Extra template context of the list page."""
        return list_head(changelist, request)

    def shown_beside(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Extra template context of the page of a row."""
        return {}

    def render_change_form(  # noqa: PLR0917  # Django's signature
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        beside = {} if obj is None else self.shown_beside(request, obj)
        return super().render_change_form(request, {**context, **beside}, add, change, form_url, obj)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        with forgeries_refused():
            return super().delete_view(request, object_id, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The staff actions on the row, with their reasons."""
        with forgeries_refused():
            row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined,no-any-return]  # not in the stubs
                request, self.opts, object_id
            )
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("History: %(row)s") % {"row": row},
            "opts": self.opts,
            "original": row,
            "actions": actions_on(self.opts.label_lower, row.pk)[:ON_THE_HISTORY_PAGE],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/staff_history.html", context)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """The form's values before and after, for `log_addition` and `log_change`."""
        names = [name for name in form.changed_data if name in form.cleaned_data and name not in NEVER_SHOWN]
        before = {} if add else {name: _shown(form.initial.get(name)) for name in names}
        return {"before": before, "after": {name: _shown(form.cleaned_data[name]) for name in names}}

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Django calls this in the transaction of its own forms; those of `ServiceAdmin` record it themselves."""
        self._write_down(request, obj, ADDED, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        # Django's page for another account's password passes a sentence.
        self._write_down(request, obj, CHANGED if isinstance(message, Mapping) else PASSWORD_CHANGED, message)

    def _write_down(self, request: HttpRequest, row: Model, action: str, message: Any) -> None:
        values = message if isinstance(message, Mapping) else {}
        record(Staff(staff_id(request)), action, row, before=values.get("before"), after=values.get("after"))

    def _refuse_forged_list(self, request: HttpRequest) -> None:
        """Check parameters of lists that Django does not validate. Raises SuspiciousOperation."""
        years = [str(value) for name, value in request.GET.items() if name.endswith("__year")]
        if not all(year.isascii() and year.isdigit() and len(year) <= 4 and int(year) > 0 for year in years):
            raise SuspiciousOperation("There is no such year.")
        try:
            for box in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.model._meta.pk.to_python(box)
        except ValidationError as error:
            raise SuspiciousOperation("A box stands for no row.") from error


class ReadOnly(NoDeleteAdmin):
    """Read-only pages."""

    is_history = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyRows(Rows):
    """Read-only rows on the page of their parent."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class _WithoutTransaction(DjangoPage):
    """Django's page without the wrapper that adds a transaction."""

    @method_decorator(csrf_protect)
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self._changeform_view(  # type: ignore[attr-defined,no-any-return]  # not in the stubs
            request, object_id, form_url, extra_context
        )


class ServiceAdmin(NoDeleteAdmin, _WithoutTransaction):
    """`save_model` calls a service, which acquires its locks, opens its transaction and writes the audit record.

    Django would wrap the whole page in a transaction. Locks acquired within it would be released before its COMMIT, so
    this page has no transaction.
    """

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refusal:
            sentence = str(refusal)
            row = self.get_object(request, unquote(object_id)) if object_id else None
            if row is not None and isinstance(refusal, ChangedMeanwhile):
                sentence = f"{refusal} {newest_change(row)}".strip()
            self.message_user(request, sentence, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """The service has recorded it."""

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """The service has recorded it."""


def _shown(value: Any) -> Any:
    """Rows by name."""
    if isinstance(value, Model):
        return _name(value)
    if isinstance(value, QuerySet | list):
        return sorted(map(_name, value))
    return value


def _name(row: Any) -> str:
    """A permission by its code, which `audit_display` translates."""
    return f"{row.content_type.app_label}.{row.codename}" if isinstance(row, Permission) else str(row)
