"""Notes in the timeline of a customer. Notes have no list; they are shown on the page of their row."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext as _

from commerce.notes.panel import notes_of
from commerce.staff_pages.timeline import May, TimelineEntry, TimelineSource, add_timeline_source


def _moments(user_id: int, before: datetime | None, most: int, _may: May) -> Iterator[TimelineEntry]:
    notes = notes_of("balances.user", user_id)
    if before is not None:
        notes = notes.filter(written_at__lt=before)
    for note in notes.order_by("-id")[:most]:
        title = _("Note by %(author)s") % {"author": note.author.get_username()}
        yield TimelineEntry(note.written_at, "sticky_note_2", title, note.text)


add_timeline_source("notes", TimelineSource("notes.view_note", _moments))
