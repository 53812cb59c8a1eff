"""Notes on orders and customers: permissions, pinning and hiding; never rewritten."""

import pytest
from django.db import IntegrityError, connection, transaction

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.core import sql
from commerce.notes.models import Note
from tests.back_office.staff import Staff
from tests.factories import UserFactory
from tests.operations.busy_shop import busy_shop
from tests.together import together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)
RIGHTS = ("balances.view_user", "notes.view_note", "notes.add_note")
KIND = "balances.user"


@pytest.fixture
def customer() -> User:
    return UserFactory()


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


def write(staff: Staff, row_id: int, text: str, kind: str = KIND, **typed: str) -> None:
    assert staff.press("note_write", kind, row_id, text=text, **typed).status_code == 302


def page(staff: Staff, row_id: int) -> str:
    return str(staff.get("balances_user_change", row_id).content.decode())


def actions() -> list[str]:
    return [action.action for action in StaffAction.objects.filter(subject_type="notes.note").order_by("id")]


def test_a_note_shows_its_author_to_colleagues(clerk: Staff, customer: User) -> None:
    write(clerk, customer.pk, "Calls in the afternoon.")
    shown = page(Staff(*RIGHTS), customer.pk)
    assert "Calls in the afternoon." in shown
    assert clerk.user.username in shown
    assert actions() == ["Note written"]


def test_an_order_has_notes_as_well(customer: User) -> None:
    order = busy_shop().last
    clerk = Staff("orders.view_order", "notes.view_note", "notes.add_note")
    write(clerk, order.pk, "Parcel came back.", kind="orders.order")
    assert "Parcel came back." in clerk.get("orders_order_change", order.pk).content.decode()


def test_a_form_sent_twice_at_once_writes_one_note(clerk: Staff, customer: User) -> None:
    form = {**fields_of(clerk.get("note_write", KIND, customer.pk).content.decode()), "text": "Once."}
    together([lambda: clerk.post("note_write", KIND, customer.pk, **form)] * 4)
    assert Note.objects.filter(text="Once.").count() == 1
    # Another form has another key, so it creates another note.
    write(clerk, customer.pk, "Once.")
    assert Note.objects.filter(text="Once.").count() == 2


def test_pinned_notes_come_first_and_any_writer_may_pin(clerk: Staff, customer: User) -> None:
    for text in ("the first", "the second"):
        write(clerk, customer.pk, text)
    first = Note.objects.get(text="the first")
    Staff(*RIGHTS).post("note_change", first.pk, "pin")
    panel = clerk.get("balances_user_change", customer.pk).context["notes"]["shown"]
    assert [each["note"].text for each in panel] == ["the first", "the second"]
    Staff(*RIGHTS).post("note_change", first.pk, "unpin")
    # An action without a change is not recorded.
    Staff(*RIGHTS).post("note_change", first.pk, "unpin")
    assert actions() == ["Note written", "Note written", "Note pinned", "Note unpinned"]


def test_only_its_author_or_a_superuser_hides_a_note(clerk: Staff, customer: User) -> None:
    write(clerk, customer.pk, "Wrong customer.", pinned="on")
    note = Note.objects.get()
    assert Staff(*RIGHTS).post("note_change", note.pk, "hide").status_code == 403
    assert "Wrong customer." in page(clerk, customer.pk)
    assert clerk.post("note_change", note.pk, "hide").status_code == 302
    assert "Wrong customer." not in page(clerk, customer.pk)
    assert "Wrong customer." in page(Staff(superuser=True), customer.pk)
    assert actions() == ["Note written", "Note hidden"]


@pytest.mark.parametrize(
    ("rights", "sees", "writes"),
    [
        (RIGHTS, True, 200),
        (("balances.view_user", "notes.view_note"), True, 403),
        (("balances.view_user",), False, 403),
        (("notes.view_note", "notes.add_note"), None, 403),
    ],
)
def test_permissions_are_checked_on_the_server(
    clerk: Staff, customer: User, rights: tuple[str, ...], sees: bool | None, writes: int
) -> None:
    write(clerk, customer.pk, "Knows the owner.")
    reader = Staff(*rights)
    if sees is not None:
        assert ("Knows the owner." in page(reader, customer.pk)) == sees
    assert reader.get("note_write", KIND, customer.pk).status_code == writes
    if writes == 403:
        assert reader.post("note_change", Note.objects.get().pk, "pin").status_code == 403
        assert not Note.objects.get().pinned


def test_an_unknown_row_has_no_notes(clerk: Staff) -> None:
    assert clerk.get("note_write", KIND, 10**9).status_code == 404
    assert clerk.get("note_write", "balances.ledgerentry", 1).status_code == 404
    assert clerk.get("note_write", KIND, 2**70).status_code == 404


def test_get_requests_change_nothing(clerk: Staff, customer: User) -> None:
    write(clerk, customer.pk, "Stays.")
    assert clerk.get("note_change", Note.objects.get().pk, "hide").status_code == 405


@pytest.mark.parametrize("text", ["", "   ", "x" * 2_001, "a\u200bb", "a\u202eb"])
def test_invalid_text_is_refused(clerk: Staff, customer: User, text: str) -> None:
    assert clerk.press("note_write", KIND, customer.pk, text=text).status_code == 200
    assert not Note.objects.exists()


@pytest.mark.parametrize(
    "change",
    ["UPDATE note SET text = 'other'", "UPDATE note SET author_id = author_id + 1", "DELETE FROM note"],
)
def test_the_database_refuses_changes_of_a_note(clerk: Staff, customer: User, change: str) -> None:
    write(clerk, customer.pk, "As it was.")
    with pytest.raises(IntegrityError, match="A note stays as it was written"), transaction.atomic():
        sql.execute(change)
    sql.execute("UPDATE note SET pinned = false, hidden_at = now()")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE note SET hidden_at = NULL")
    assert Note.objects.get().text == "As it was."
