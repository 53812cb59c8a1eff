"""Writing, pinning and hiding notes, each recorded in its transaction.

Owns who may do what to a note of somebody else: pin it, and nothing more. Whether the reader may see the row that it is
about is for the page to ask.
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
    """Add a note about a row, such as `orders.order` 7, that exists. Once for a claim of `idempotency`."""
    with locked_transaction(*idempotency.locks) as shared:
        note = Note.objects.create(
            subject_type=subject_type, subject_id=subject_id, author_id=by.id, text=text, pinned=pinned
        )
        record(by, WRITTEN, note, after={_NAMES.get(subject_type, subject_type): str(subject_id)})
        idempotency.remember(shared, note)
    return note


def pin_note(note_id: int, *, pinned: bool, by: Staff) -> None:
    """Put a note first, or back among the others. A hidden one stays as it is. Raises Note.DoesNotExist."""
    _change(note_id, PINNED if pinned else UNPINNED, by, lambda note: {"pinned": pinned} if not note.hidden_at else {})


def hide_note(note_id: int, *, by: Staff, is_superuser: bool) -> None:
    """Take a note off its page, for good. Raises Note.DoesNotExist; PermissionDenied for another's note."""

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
