"""The demo's notes of staff about some orders and customers.

They are inserted directly into the table, because the whole demo is loaded in one transaction.
"""

from balances.models import User
from commerce.notes.models import Note

NOTES = (
    ("balances.user", 1, "support", "Asks for deliveries to the side door.", True),
    ("balances.user", 1, "finance", "Was credited twice in spring; has been settled.", False),
    ("balances.user", 7, "support", "Prefers to be called in the afternoon.", False),
    ("balances.user", 8, "operator", "연락은 이메일로 부탁하셨습니다.", True),
    ("orders.order", 1, "support", "Customer has asked for a receipt by e-mail: sent.", False),
    ("orders.order", 2, "support", "Parcel came back; address is being checked with the customer.", True),
)
"""Type and id of the subject, author, text, and whether the note is pinned."""


def write_notes() -> None:
    """Insert the notes. The accounts of staff must exist. Must be called inside a transaction."""
    authors = dict(User.objects.filter(is_staff=True).values_list("username", "id"))
    Note.objects.bulk_create(
        Note(subject_type=kind, subject_id=number, author_id=authors[author], text=text, pinned=pinned)
        for kind, number, author, text, pinned in NOTES
    )
