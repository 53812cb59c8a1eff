"""Writing, pinning and hiding notes, each with an audit record in the same transaction.

Staff may pin notes of others but not hide them. The pages check the permission to view the row.
"""

from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, record
from commerce.core.locks import locked_transaction
from commerce.idempotency.commit import Idempotency
from commerce.notes.models import Note

WRITTEN = gettext_noop("Note written")
PINNED = gettext_noop("Note pinned")
UNPINNED = gettext_noop("Note unpinned")
HIDDEN = gettext_noop("Note hidden")
_NAMES = {"orders.order": gettext_noop("order"), "balances.user": gettext_noop("customer")}


def write_note(
    subject_type: str, subject_id: int, text: str, *, pinned: bool, by: Staff, idempotency: Idempotency
) -> Note:
    """Add a note about an existing row, such as `orders.order` 7."""
    with locked_transaction(*idempotency.locks) as shared:
        note = Note.objects.create(
            subject_type=subject_type, subject_id=subject_id, author_id=by.id, text=text, pinned=pinned
        )
        record(by, WRITTEN, note, after={_NAMES.get(subject_type, subject_type): str(subject_id)})
        idempotency.remember(shared, note)
    return note


def pin_note(note_id: int, *, pinned: bool, by: Staff) -> None:
    """Pin or unpin a note. A hidden note is unchanged. Raises Note.DoesNotExist."""
    _change(note_id, PINNED if pinned else UNPINNED, by, lambda note: {"pinned": pinned} if not note.hidden_at else {})


def hide_note(note_id: int, *, by: Staff, is_superuser: bool) -> None:
    """Hide a note permanently. Raises Note.DoesNotExist; PermissionDenied for another user's note."""

    def hidden(note: Note) -> dict[str, object]:
        if note.author_id != by.id and not is_superuser:
            raise PermissionDenied
        return {} if note.hidden_at else {"pinned": False, "hidden_at": Now()}

    _change(note_id, HIDDEN, by, hidden)


def _change(note_id: int, action: str, by: Staff, changes_of: Callable[[Note], dict[str, object]]) -> None:
    with transaction.atomic():
        note = Note.objects.select_for_update(no_key=True).get(pk=note_id)
        changes = changes_of(note)
        if not changes or changes == {"pinned": note.pinned}:
            return
        Note.objects.filter(pk=note_id).update(**changes)
        record(by, action, note, before={"pinned": note.pinned}, after={"pinned": changes["pinned"]})
