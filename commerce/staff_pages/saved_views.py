"""Saved views: filters and ordering of a list under a name, for one member of staff.

They are private, so saving and deleting them writes no audit record.
"""

from urllib.parse import urlencode

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.options import IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, PAGE_VAR
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from commerce.core.visible_text import validate_visible
from commerce.staff_pages.forms import StaffForm
from commerce.staff_pages.models import MOST_CHARACTERS_OF_A_NAME, MOST_CHARACTERS_OF_A_QUERY, SavedView

MOST_OF_A_LIST = 20
_NO_FILTER = {PAGE_VAR, ERROR_FLAG, ALL_VAR, IS_POPUP_VAR, TO_FIELD_VAR}


class TooManyViews(Exception):
    """The member of staff has the maximum number of views of this list."""


class ViewForm(StaffForm):
    """The name of a view."""

    name = forms.CharField(
        label=gettext_lazy("name"), max_length=MOST_CHARACTERS_OF_A_NAME, validators=[validate_visible]
    )
    query = forms.CharField(max_length=MOST_CHARACTERS_OF_A_QUERY, widget=forms.HiddenInput)

    def clean_query(self) -> str:
        query = canonical(QueryDict(self.cleaned_data["query"]))
        if not query:
            raise forms.ValidationError(_("The list has no filters."), code="nothing")
        return query


def canonical(query: QueryDict) -> str:
    """The parameters of a list in a fixed order, without the page number and empty values."""
    given = [(name, value) for name in sorted(query) for value in query.getlist(name) if value]
    return urlencode([(name, value) for name, value in given if name not in _NO_FILTER])


def views_of(owner_id: int, list_of: str) -> "QuerySet[SavedView]":
    """An account's views of a list, such as `orders.order`, by name."""
    return SavedView.objects.filter(owner_id=owner_id, list_of=list_of).order_by("name")


def save_view(*, owner_id: int, list_of: str, name: str, query: str) -> SavedView:
    """Save a view, replacing one with the same name. Raises TooManyViews."""
    with transaction.atomic():
        _wait_for_others_of(owner_id)
        views = views_of(owner_id, list_of)
        if len(views) >= MOST_OF_A_LIST and name not in {view.name for view in views}:
            raise TooManyViews
        view, _is_new = SavedView.objects.update_or_create(
            owner_id=owner_id, list_of=list_of, name=name, defaults={"query": query}
        )
    return view


def _wait_for_others_of(owner_id: int) -> None:
    """Serialize concurrent saves of one account, so that the limit holds."""
    get_user_model()._default_manager.select_for_update(no_key=True).get(pk=owner_id)


def urls() -> list[URLPattern]:
    """The pages, below the back-office's own."""
    return [
        path("views/<str:list_of>/save/", admin.site.admin_view(require_POST(save)), name="view_save"),
        path("views/<int:view_id>/delete/", admin.site.admin_view(require_POST(delete)), name="view_delete"),
    ]


def save(request: HttpRequest, list_of: str) -> HttpResponse:
    """Save the current view, and redirect to it."""
    page = _page_of(request, list_of)
    form = ViewForm(request.POST)
    if not form.is_valid():
        for errors in form.errors.values():
            messages.error(request, " ".join(map(str, errors)))
        return HttpResponseRedirect(f"{page}?{canonical(QueryDict(request.POST.get('query', '')))}")
    query, name = form.cleaned_data["query"], form.cleaned_data["name"]
    try:
        view = save_view(owner_id=request.user.pk or 0, list_of=list_of, name=name, query=query)
    except TooManyViews:
        sentence = _("At most %(count)d views of a list are kept. Delete one first.")
        messages.error(request, sentence % {"count": MOST_OF_A_LIST})
    else:
        messages.success(request, _("The view “%(name)s” is saved.") % {"name": view.name})
    return HttpResponseRedirect(f"{page}?{query}")


def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    """Delete one of one's own views, and redirect to the list. Raises Http404 for another account's."""
    view = get_object_or_404(SavedView, pk=view_id, owner_id=request.user.pk)
    page = _page_of(request, view.list_of)
    view.delete()
    messages.success(request, _("The view “%(name)s” is deleted.") % {"name": view.name})
    return HttpResponseRedirect(f"{page}?{canonical(QueryDict(request.POST.get('query', '')))}")


def _page_of(request: HttpRequest, list_of: str) -> str:
    """The URL of a list. Raises Http404 if there is none, PermissionDenied if the user may not view it."""
    try:
        page = admin.site.get_model_admin(apps.get_model(list_of))
    except (LookupError, ValueError, NotRegistered) as error:
        raise Http404 from error
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    return reverse(f"admin:{list_of.replace('.', '_')}_changelist")
