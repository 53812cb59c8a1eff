"""The notes on the page of an order or a customer, and the views that write, pin and hide them.

Notes are shown to users who may view both the row and notes.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from commerce.audit.record import Staff
from commerce.core.visible_text import validate_visible
from commerce.idempotency.forms import IdempotentForm
from commerce.notes import services
from commerce.notes.models import MOST_CHARACTERS, Note
from commerce.staff_pages.forms import StaffForm
from commerce.staff_pages.pages import staff_id

MOST_ON_A_PAGE = 50
KINDS = ("orders.order", "balances.user")
"""The models that can have notes."""


class NoteForm(IdempotentForm, StaffForm):
    """A new note."""

    text = forms.CharField(
        label=gettext_lazy("note"),
        max_length=MOST_CHARACTERS,
        validators=[validate_visible],
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    pinned = forms.BooleanField(label=gettext_lazy("pinned"), required=False)


def notes_of(subject_type: str, subject_id: int, *, with_hidden: bool = False) -> "QuerySet[Note]":
    """The notes about a row with their authors, pinned ones first, then the newest."""
    notes = Note.objects.filter(subject_type=subject_type, subject_id=subject_id).select_related("author")
    if not with_hidden:
        notes = notes.filter(hidden_at__isnull=True)
    return notes.order_by("-pinned", "-id")


def panel(request: HttpRequest, subject_type: str, subject_id: int) -> dict[str, Any]:
    """The context of `admin/notes/panel.html`; empty for users who may not view notes."""
    user = request.user
    if not user.has_perm("notes.view_note"):
        return {}
    may_write = user.has_perm("notes.add_note")
    found = notes_of(subject_type, subject_id, with_hidden=user.is_superuser)[:MOST_ON_A_PAGE]
    shown = [
        {
            "note": note,
            "may_pin": may_write and note.hidden_at is None,
            "may_hide": may_write and note.hidden_at is None and (note.author_id == user.pk or user.is_superuser),
        }
        for note in found
    ]
    return {
        "notes": {"shown": shown, "form": NoteForm() if may_write else None, "action": _write(subject_type, subject_id)}
    }


def urls() -> list[URLPattern]:
    """URL patterns, below the admin site's."""

    def for_staff(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        return admin.site.admin_view(view)

    return [
        path("notes/<str:kind>/<int:row_id>/write/", for_staff(write), name="note_write"),
        path("notes/<int:note_id>/<str:change_to>/", for_staff(require_POST(change)), name="note_change"),
    ]


def write(request: HttpRequest, kind: str, row_id: int) -> HttpResponse:
    """Add a note, and redirect to the page that it is about."""
    back = _page_of(request, kind, row_id)
    _require(request, "notes.add_note")
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        by = Staff(staff_id(request))
        text, pinned = form.cleaned_data["text"], form.cleaned_data["pinned"]
        sentence = form.try_once(
            lambda idempotency: services.write_note(kind, row_id, text, pinned=pinned, by=by, idempotency=idempotency),
            lambda _note: _("The note is saved."),
            staff_id=by.id,
            path=request.path,
        )
        if sentence:
            messages.success(request, sentence)
            return HttpResponseRedirect(back)
    shown = {"title": _("Write a note"), "form": form, "button": _("Write"), "back": back}
    return TemplateResponse(request, "admin/staff_form.html", {**admin.site.each_context(request), **shown})


def change(request: HttpRequest, note_id: int, change_to: str) -> HttpResponse:
    """Pin, unpin or hide a note, and redirect to the page that it is about."""
    note = get_object_or_404(Note, pk=note_id)
    back = _page_of(request, note.subject_type, note.subject_id)
    _require(request, "notes.view_note")
    _require(request, "notes.add_note")
    by = Staff(staff_id(request))
    if change_to in ("pin", "unpin"):
        services.pin_note(note_id, pinned=change_to == "pin", by=by)
    elif change_to == "hide":
        services.hide_note(note_id, by=by, is_superuser=request.user.is_superuser)
    else:
        raise Http404
    return HttpResponseRedirect(back)


def _require(request: HttpRequest, right: str) -> None:
    if not request.user.has_perm(right):
        raise PermissionDenied


def _page_of(request: HttpRequest, kind: str, row_id: int) -> str:
    """The URL of the row's page. Raises Http404 if there is none, PermissionDenied if the user may not view it."""
    if kind not in KINDS:
        raise Http404
    model = apps.get_model(kind)
    page = admin.site.get_model_admin(model)
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    if not 0 < row_id < 2**63 or not model._default_manager.filter(pk=row_id).exists():
        raise Http404
    return reverse(f"admin:{kind.replace('.', '_')}_change", args=[row_id])


def _write(subject_type: str, subject_id: int) -> str:
    return reverse("admin:note_write", args=[subject_type, subject_id])
