"""Confirmations, reasons, repeated forms, limits, and invalid filter values."""

from datetime import timedelta

import pytest
from django.utils import timezone

from balances.models import LedgerEntry, User
from commerce.audit.models import StaffAction
from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from products.models import ProductImport
from stats.models import DeadLetter
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.factories import ProductFactory, UserFactory
from tests.operations.busy_shop import busy_shop
from tests.shop_state import nothing_changes
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


class TestSendAgain:
    LIST = "/admin/outbox/outboxmessage/?state=parked"

    @pytest.fixture
    def parked(self) -> OutboxMessage:
        busy_shop()
        message = OutboxMessage.objects.order_by("id")[0]
        sql.execute(
            "UPDATE outbox_message SET sent_at = NULL, parked_at = now(), last_error = 'HTTP 500: no' WHERE id = %s",
            [message.pk],
        )
        return message

    def test_requires_a_confirmation_and_keeps_the_filters(self, admin_user: Staff, parked: OutboxMessage) -> None:
        form = {"action": "send_again", "_selected_action": str(parked.pk)}
        with nothing_changes():
            question = admin_user.client.post(self.LIST, form)
        assert "1 message will be queued." in question.content.decode()
        with nothing_changes():
            answer = admin_user.client.post(self.LIST, {**fields_of(question.content.decode()), "reason": " "})
        assert errors_of(answer) == {"reason": ["This field is required."]}
        answer = admin_user.client.post(self.LIST, {**fields_of(question.content.decode()), "reason": "Partner is up."})
        assert (answer.status_code, answer.headers["Location"]) == (302, self.LIST)
        assert messages_on(answer) == ["1 message is queued."]
        entry = StaffAction.objects.latest("id")
        assert (entry.action, entry.reason, entry.subject_id) == ("Sent again", "Partner is up.", str(parked.pk))

    def test_from_the_message_leads_back_to_the_filtered_list(self, admin_user: Staff, parked: OutboxMessage) -> None:
        page = admin_user.get("outbox_outboxmessage_change", parked.pk, _changelist_filters="state=parked")
        assert f'action="{self.LIST}"' in page.content.decode()

    def test_reports_if_nothing_can_be_resent(self, admin_user: Staff, parked: OutboxMessage) -> None:
        sent = OutboxMessage.objects.filter(destination="kafka", sent_at__isnull=False).first()
        assert sent is not None
        with nothing_changes():
            answer = admin_user.post("outbox_outboxmessage_changelist", action="send_again", _selected_action=sent.pk)
        assert messages_on(answer) == ["None of them can be sent again: they are waiting, or were sent to Kafka."]

    def test_a_sent_message_shows_no_old_error(self, admin_user: Staff, parked: OutboxMessage) -> None:
        pages = (("outbox_outboxmessage_changelist",), ("outbox_outboxmessage_change", parked.pk))
        for page in pages:
            assert "HTTP 500: no" in admin_user.get(*page).content.decode()
        sql.execute("UPDATE outbox_message SET sent_at = now(), parked_at = NULL WHERE id = %s", [parked.pk])
        for page in pages:
            assert "HTTP 500: no" not in admin_user.get(*page).content.decode()


def test_replaying_a_dead_letter_requires_a_reason(admin_user: Staff) -> None:
    busy_shop()
    letter = DeadLetter.objects.get()
    DeadLetter.objects.update(replayed_at=None)
    form = {"action": "replay", "_selected_action": str(letter.pk)}
    with nothing_changes():
        question = admin_user.post("stats_deadletter_changelist", **form).content.decode()
    assert "1 dead letter will be replayed." in question
    admin_user.post("stats_deadletter_changelist", **form, reason="The product is there now.")
    assert StaffAction.objects.latest("id").reason == "The product is there now."


class TestARebuild:
    PAGE = "stats_productstat_rebuild"

    @pytest.mark.parametrize("day", ["1999-12-31", "2199-12-31", "tomorrow"])
    def test_requires_a_day_that_can_have_orders(self, admin_user: Staff, day: str) -> None:
        busy_shop()
        day = (timezone.localdate() + timedelta(days=1)).isoformat() if day == "tomorrow" else day
        assert admin_user.get(self.PAGE, day=day).context.get("found") is None
        with nothing_changes():
            answer = admin_user.press(self.PAGE, day=day, reason="Counted twice.")
        assert errors_of(answer)["day"][0].startswith("There can be no sales on that day: choose one from ")

    def test_requires_a_reason(self, admin_user: Staff) -> None:
        with nothing_changes():
            answer = admin_user.press(self.PAGE, day=timezone.localdate())
        assert list(errors_of(answer)) == ["reason"]
        admin_user.press(self.PAGE, day=timezone.localdate(), reason="Counted twice.")
        assert StaffAction.objects.latest("id").reason == "Counted twice."


class TestAWallet:
    PAGE = "balances_user_adjust"

    @pytest.fixture
    def customer(self) -> User:
        return UserFactory(balance=1_000)

    def question(self, staff: Staff, customer: User) -> Page:
        return staff.press(self.PAGE, customer.pk, direction="credit", amount_won="500", reason="Late")

    def test_keeps_the_input_on_going_back(self, admin_user: Staff, customer: User) -> None:
        asked = fields_of(self.question(admin_user, customer).content.decode())
        with nothing_changes():
            back = admin_user.post(self.PAGE, customer.pk, **asked, again="1")
        form = back.context["form"]
        assert [form[name].value() for name in ("direction", "amount_won", "reason")] == ["credit", "500", "Late"]
        assert not form.errors
        typed = fields_of(back.content.decode())
        assert (typed["amount_won"], typed["reason"], typed["confirmed"]) == ("500", "Late", "")

    def test_reports_a_repeated_credit(self, admin_user: Staff, customer: User) -> None:
        asked = fields_of(self.question(admin_user, customer).content.decode())
        messages = messages_on(admin_user.post(self.PAGE, customer.pk, **asked))
        assert messages == ["The balance is ₩1,500 now (+₩500)."]
        admin_user.get("index")
        again = messages_on(admin_user.post(self.PAGE, customer.pk, **asked))
        assert again == ["Already done, and not repeated. The balance is ₩1,500 now (+₩500)."]
        assert LedgerEntry.objects.filter(type="ADJUSTMENT").count() == 1


def test_a_stale_form_shows_who_changed_what(admin_user: Staff) -> None:
    pen = ProductFactory(name="Pen", price=3_000)
    opened = fields_of(admin_user.get("products_product_change", pen.pk).content.decode())
    colleague = Staff(superuser=True)
    colleague.press("products_product_change", pen.pk, price="4000")
    with nothing_changes():
        answer = admin_user.post("products_product_change", pen.pk, **{**opened, "name": "Pencil"})
    sentence = errors_of(answer)["__all__"][0]
    assert f"The last change: Changed by {colleague.user.username} at " in sentence
    assert "₩3,000 → ₩4,000" in sentence


class TestAFilter:
    @pytest.mark.parametrize(
        ("page", "query", "title"),
        [
            ("outbox_outboxmessage", {"state": "lost"}, "state"),
            ("outbox_outboxmessage", {"destination": "nowhere"}, "destination"),
            ("outbox_deliveryattempt", {"status": "9"}, "HTTP status"),
            ("outbox_deliveryattempt", {"outcome__exact": "lost"}, "outcome"),
            ("orders_order", {"status__exact": "LOST"}, "status"),
            ("orders_order", {"ordered_date_from": "2026-02-30"}, "day"),
            ("orders_order", {"paid_amount_from": "many"}, "paid (won)"),
            ("products_product", {"level": "odd"}, "stock"),
            ("coupons_coupon", {"state": "LOST"}, "state"),
            ("coupons_usercoupon", {"status": "LOST"}, "status"),
            ("audit_staffaction", {"actor": "0"}, "staff member"),
            ("stats_deadletter", {"state": "lost"}, "state"),
            ("idempotency_idempotencykey", {"outcome": "lost"}, "outcome"),
        ],
    )
    def test_reports_an_invalid_value(self, admin_user: Staff, page: str, query: dict[str, str], title: str) -> None:
        busy_shop()
        text = admin_user.get(f"{page}_changelist", **query).content.decode()
        assert f"“{next(iter(query.values()))}” is not a value of the filter “{title}”." in text

    @pytest.mark.parametrize("query", ["created_at_from=2026-02-30", "nonsense=1", "amount_from=many"])
    def test_reports_an_ignored_value(self, admin_user: Staff, query: str) -> None:
        answer = admin_user.client.get(f"/admin/balances/ledgerentry/?{query}", follow=True)
        assert "The address has a filter or a value that cannot be read" in answer.content.decode()

    def test_reports_nothing_for_valid_values(self, admin_user: Staff) -> None:
        busy_shop()
        query = {"status__exact": "CANCELLED", "ordered_date_from": "2026-01-01", "paid_amount_to": "1000"}
        assert messages_on(admin_user.get("orders_order_changelist", **query)) == []


def test_selections_are_limited_to_what_the_action_accepts(admin_user: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    busy_shop()
    monkeypatch.setattr("commerce.outbox.admin.OutboxMessageAdmin.list_per_page", 2)
    monkeypatch.setattr("commerce.outbox.admin.OutboxMessageAdmin.list_max_show_all", 2)
    offer = "Click here to select the objects across all pages"
    assert offer in admin_user.get("outbox_outboxmessage_changelist").content.decode()
    monkeypatch.setattr("commerce.outbox.admin.OutboxMessageAdmin.most_selected", 3)
    assert offer not in admin_user.get("outbox_outboxmessage_changelist").content.decode()


def test_another_users_import_shows_its_sender(admin_user: Staff) -> None:
    colleague = Staff(superuser=True)
    kept = ProductImport.objects.create(staff_id=colleague.user.pk, file_name="spring.csv", uploaded_at=timezone.now())
    answer = admin_user.get("products_product_import_preview", kept.pk)
    assert messages_on(answer) == [f"{colleague.user.username} uploaded this file; only they can see and import it."]
    sql.execute("UPDATE product_import SET uploaded_at = uploaded_at - interval '2 days'")
    answer = admin_user.get("products_product_import_preview", kept.pk)
    assert messages_on(answer)[-1] == "This file is not stored any more. Upload it again."
