"""Dead letters: stored with their bytes, without stopping their batch, and replayed."""

from __future__ import annotations

import json
from datetime import datetime
from io import StringIO
from threading import Event
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.utils import timezone

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.outbox.publish import event_id
from commerce.outbox.sinks.kafka_source import Received
from orders.events import order_as_json
from orders.models import Order
from stats import consumers, operations, services
from stats.models import DeadLetter, ProcessedEvent
from stats.services import Counted, Replay, Replayed, backfill_product_stats, replay_dead_letter
from stats.tests.conftest import no_new_connections, sent_payloads, units_counted
from tests.back_office.staff import Staff, messages_on
from tests.breaking import growth_of
from tests.factories import ProductFactory, UserFactory, order_of
from tests.shop_state import nothing_changes, statements
from tests.together import together

if TYPE_CHECKING:
    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = "order-completed"
FIRST_ORDER = 1_000_000_000
"""Above all ids that the sequence assigns in these tests."""


def message(number: int, product_id: int, quantity: int = 1) -> bytes:
    """The event of an order of 2 March."""
    placed_at = datetime.fromisoformat("2026-03-02T09:00:00+09:00")
    order = Order(
        id=FIRST_ORDER + number,
        user=User.objects.first() or UserFactory(),
        status="COMPLETED",
        total_amount=0,
        discount_amount=0,
        paid_amount=0,
        ordered_date=placed_at.date(),
        created_at=placed_at,
        completed_at=placed_at,
    )
    Order.objects.bulk_create([order], ignore_conflicts=True)
    items = [{"productId": product_id, "quantity": quantity}]
    data = {"id": order.id, "createdAt": placed_at.isoformat(), "items": items}
    return json.dumps({"type": TOPIC, "id": id_of(number), "data": data}).encode()


def id_of(number: int) -> str:
    return event_id(TOPIC, FIRST_ORDER + number, datetime.fromisoformat("2026-03-02T09:00:00+09:00"))


def batch(*payloads: bytes, partition: int = 0) -> list[Received]:
    return [Received(TOPIC, partition, offset, payload, b"1") for offset, payload in enumerate(payloads)]


def letters() -> dict[int, str]:
    """Offsets and the first words of the reasons."""
    return {letter.offset: letter.reason.split(":")[0] for letter in DeadLetter.objects.order_by("id")}


def replay(*arguments: str) -> tuple[list[str], dict[str, int], int]:
    """The command's lines about dead letters, its last line, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command("replay_dead_letters", *arguments, stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    lines = out.getvalue().splitlines()
    return lines[:-1], json.loads(lines[-1]), code


class TestParking:
    """A message that cannot be counted affects no other."""

    def test_it_is_stored_unchanged(self) -> None:
        headers = (("content-type", b"text"), ("trace", b"\xff\x00"), ("nul", b"a\0"), ("none", None))
        message = Received(TOPIC, 3, 41, b"\xff{\0", b"\0key", headers)
        with growth_of("commerce_stats_events_total", outcome="left_out") as left_out:
            counted = consumers.count([message])
        assert (counted.events, counted.repeats, list(counted.left_out)) == (0, 0, ["order-completed[3]@41"])
        assert left_out.by == 1
        letter = DeadLetter.objects.get()
        assert (letter.topic, letter.partition, letter.offset, letter.replayed_at) == (TOPIC, 3, 41, None)
        assert (bytes(letter.payload), bytes(letter.key or b"")) == (b"\xff{\0", b"\0key")
        assert letter.headers == [
            {"name": "content-type", "text": "text"},
            {"name": "trace", "hex": "ff00"},
            {"name": "nul", "hex": "6100"},
            {"name": "none", "text": None},
        ]
        assert letter.reason.startswith("Not JSON: ")

    def test_the_batch_is_counted_and_failing_messages_are_parked(self, pen: Product, ink: Product) -> None:
        stranger = pen.pk + 1_000
        payloads = [
            message(1, pen.pk, 2),
            b"not json",
            message(2, stranger),
            message(3, ink.pk),
            message(4, pen.pk, 1_001),
            message(5, pen.pk).replace(b"order-completed", b"order-mislaid"),
            message(6, pen.pk, 10**15),
            message(7, stranger),
            message(8, pen.pk, 1_000),
        ]
        counted = consumers.count(batch(*payloads))
        assert (counted.events, counted.repeats, len(counted.left_out)) == (3, 0, 6)
        assert units_counted() == {(pen.pk, "2026-03-02"): 1_002, (ink.pk, "2026-03-02"): 1}
        parked = letters()
        assert {offset for offset, reason in parked.items() if reason == "Not an order event"} == {4, 5, 6}
        assert parked[1] == "Not JSON"
        for offset in (2, 7):
            assert "product_stat_product_id" in parked[offset]
        assert set(parked) == {1, 2, 4, 5, 6, 7}
        assert set(ProcessedEvent.objects.values_list("event_id", flat=True)) == {id_of(1), id_of(3), id_of(8)}

    def test_without_the_second_attempt_one_message_fails_its_batch(
        self, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gives_up(*args: object) -> Counted:
            raise IntegrityError("as the first attempt said")

        monkeypatch.setattr(services, "_count_what_fits", gives_up)
        messages = batch(message(1, pen.pk), message(2, pen.pk + 1_000), message(3, pen.pk))
        with nothing_changes(), pytest.raises(IntegrityError):
            consumers.count(messages)

    def test_a_batch_of_failing_messages_is_parked(self, pen: Product) -> None:
        counted = consumers.count(batch(*(message(number, pen.pk + 1_000) for number in range(37))))
        assert (counted.events, counted.repeats, len(counted.left_out)) == (0, 0, 37)
        assert len(letters()) == 37
        assert not ProcessedEvent.objects.exists()

    def test_a_failing_message_is_found_by_halves(self, pen: Product) -> None:
        payloads = [message(number, pen.pk) for number in range(256)]
        payloads[77] = message(77, pen.pk + 1_000)
        with statements() as ran:
            assert consumers.count(batch(*payloads)).events == 255
        assert letters().keys() == {77}
        assert units_counted() == {(pen.pk, "2026-03-02"): 255}
        # The whole batch, then at most two halves of each of nine sizes.
        assert sum("processed_event" in statement for statement in ran) == 1 + 17

    def test_a_repeated_batch_is_parked_once(self, pen: Product) -> None:
        messages = batch(message(1, pen.pk), b"{", message(2, pen.pk + 1_000))
        consumers.count(messages)
        with nothing_changes():
            again = consumers.count(messages)
        assert (again.events, again.repeats, len(again.left_out)) == (0, 1, 2)

    def test_another_message_at_the_same_offset_is_parked_too(self) -> None:
        """A recreated topic starts at offset 0 again."""
        consumers.count(batch(b"the old one"))
        consumers.count(batch(b"the new one"))
        assert sorted(bytes(letter.payload) for letter in DeadLetter.objects.all()) == [b"the new one", b"the old one"]

    def test_parking_and_counting_are_one_transaction(self, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        def breaks(letters: object) -> None:
            raise RuntimeError("killed here")

        monkeypatch.setattr(operations, "park", breaks)
        good = message(1, pen.pk)
        for culprit in (b"{", message(2, pen.pk + 1_000)):
            with nothing_changes(), pytest.raises(RuntimeError, match="killed here"):
                consumers.count(batch(good, culprit))

    def test_two_consumers_with_the_same_batch_count_and_park_once(self, pen: Product) -> None:
        messages = batch(message(1, pen.pk), b"{", message(2, pen.pk + 1_000), message(3, pen.pk))
        counted = together([lambda: consumers.count(messages)] * 4)
        assert sum(each.events for each in counted) == 2
        assert units_counted() == {(pen.pk, "2026-03-02"): 2}
        assert sorted(letters()) == [1, 2]

    def test_nothing_is_parked_during_a_database_outage(self, pen: Product) -> None:
        stopping = Event()
        stopping.set()
        messages = batch(b"{", message(1, pen.pk))
        connection.close()
        with no_new_connections():
            assert not consumers._counted(messages, stopping)
        assert not DeadLetter.objects.exists()


class TestReplay:
    """`manage.py replay_dead_letters`, and the button in the back-office."""

    @pytest.fixture
    def order(self, user: User, pen: Product) -> Order:
        return order_of(user, {pen: 4})

    def mislaid(self, order: Order, pen: Product) -> DeadLetter:
        """The order's event, parked because its product did not exist."""
        payload = sent_payloads()[0].replace(f'"productId":{pen.pk},'.encode(), b'"productId":777,')
        consumers.count([Received(TOPIC, 0, 5, payload)])
        letter = DeadLetter.objects.get()
        assert json.loads(bytes(letter.payload))["data"] == order_as_json(order) | {
            "items": [order_as_json(order)["items"][0] | {"productId": 777}]
        }
        return letter

    def test_a_letter_that_fits_now_is_counted_once(self, order: Order, pen: Product) -> None:
        letter = self.mislaid(order, pen)
        assert replay("--all") == (
            [f"{letter.pk}: refused: {' '.join(DeadLetter.objects.get().reason.split())}"],
            {"counted": 0, "repeated": 0, "refused": 1, "done": 0, "unknown": 0},
            1,
        )
        ProductFactory(pk=777)
        assert replay("--all") == (
            [f"{letter.pk}: counted"],
            {"counted": 1, "repeated": 0, "refused": 0, "done": 0, "unknown": 0},
            0,
        )
        assert units_counted() == {(777, timezone.localdate().isoformat()): 4}
        assert DeadLetter.objects.get().replayed_at is not None
        with nothing_changes():
            assert replay("--id", str(letter.pk)) == (
                [f"{letter.pk}: done"],
                {"counted": 0, "repeated": 0, "refused": 0, "done": 1, "unknown": 0},
                0,
            )
            assert replay("--all")[1:] == ({"counted": 0, "repeated": 0, "refused": 0, "done": 0, "unknown": 0}, 0)

    def test_two_concurrent_replays_count_once(self, order: Order, pen: Product) -> None:
        letter = self.mislaid(order, pen)
        ProductFactory(pk=777)
        outcomes = [each.outcome for each in together([lambda: replay_dead_letter(letter_id=letter.pk)] * 4)]
        assert outcomes.count(Replay.COUNTED) == 1
        assert {*outcomes} <= {Replay.COUNTED, Replay.REPEATED, Replay.DONE}
        assert units_counted() == {(777, timezone.localdate().isoformat()): 4}

    def test_without_processed_events_it_counts_twice(
        self, order: Order, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            operations,
            "RECORD_EVENTS",
            "SELECT jsonb_array_elements_text(%s::jsonb)",
        )
        letter = self.mislaid(order, pen)
        ProductFactory(pk=777)
        for _ in range(2):
            assert replay_dead_letter(letter_id=letter.pk) == Replayed(Replay.COUNTED)
            DeadLetter.objects.update(replayed_at=None)
        assert units_counted() == {(777, timezone.localdate().isoformat()): 8}

    def test_a_letter_counted_by_a_backfill_is_a_repeat(self, order: Order, pen: Product) -> None:
        letter = self.mislaid(order, pen)
        DeadLetter.objects.update(payload=sent_payloads()[0])
        today = timezone.localdate()
        backfill_product_stats(from_date=today, to_date=today, dry_run=False)
        assert replay("--id", str(letter.pk))[1:] == (
            {"counted": 0, "repeated": 1, "refused": 0, "done": 0, "unknown": 0},
            0,
        )
        assert units_counted() == {(pen.pk, today.isoformat()): 4}
        assert DeadLetter.objects.get().replayed_at is not None

    def test_a_refused_letter_stays_with_the_new_reason(self) -> None:
        consumers.count(batch(b"{"))
        DeadLetter.objects.update(reason="of yesterday")
        [line], report, code = replay("--all")
        letter = DeadLetter.objects.get()
        assert letter.reason.startswith("Not JSON: ")
        assert letter.replayed_at is None
        assert (line, report["refused"], code) == (f"{letter.pk}: refused: {letter.reason}", 1, 1)

    def test_an_unknown_letter_is_reported(self) -> None:
        assert replay("--id", "12")[1:] == (
            {"counted": 0, "repeated": 0, "refused": 0, "done": 0, "unknown": 1},
            1,
        )

    def test_it_requires_a_selection_of_dead_letters(self) -> None:
        with pytest.raises(CommandError, match="required"):
            call_command("replay_dead_letters")
        with pytest.raises(CommandError, match="not allowed with"):
            call_command("replay_dead_letters", "--all", "--id", "1")

    def test_staff_replay_the_selected_letters(self, order: Order, pen: Product) -> None:
        letter = self.mislaid(order, pen)
        consumers.count(batch(b"{"))
        ProductFactory(pk=777)
        chosen = list(DeadLetter.objects.values_list("pk", flat=True))
        clerk = Staff("stats.view_deadletter", "stats.replay_deadletter")
        answer = clerk.post("stats_deadletter_changelist", action="replay", reason="Try again", _selected_action=chosen)
        assert messages_on(answer) == ["1 dead letter was replayed.", "1 dead letter still cannot be counted."]
        assert DeadLetter.objects.get(replayed_at=None).offset == 0
        assert units_counted() == {(777, timezone.localdate().isoformat()): 4}
        page = clerk.get("stats_deadletter_change", letter.pk).content.decode()
        assert "&quot;productId&quot;:777" in page
        for state, expected in (("waiting", [0]), ("replayed", [5])):
            shown = clerk.get("stats_deadletter_changelist", state=state).context["cl"].queryset
            assert [each.offset for each in shown] == expected
        assert [
            (each.actor, each.action, each.after.get("replayed")) for each in StaffAction.objects.order_by("id")
        ] == [
            (clerk.user, "Replayed", True),
            (clerk.user, "Replayed", False),
        ]
        [done] = StaffAction.objects.filter(subject_type="stats.deadletter", subject_id=str(letter.pk))
        assert done.before == {"reason": letter.reason}

    def test_a_replay_sent_twice_counts_and_is_recorded_once(self, order: Order, pen: Product) -> None:
        letter = self.mislaid(order, pen)
        ProductFactory(pk=777)
        clerk = Staff("stats.view_deadletter", "stats.replay_deadletter")
        messages = [
            messages_on(
                clerk.post(
                    "stats_deadletter_changelist", action="replay", reason="Try again", _selected_action=[letter.pk]
                )
            )[-1]
            for _ in range(2)
        ]
        assert messages == ["1 dead letter was replayed.", "0 dead letters were replayed."]
        assert units_counted() == {(777, timezone.localdate().isoformat()): 4}
        assert StaffAction.objects.count() == 1

    def test_the_number_of_letters_per_request_is_limited(
        self, order: Order, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        consumers.count(batch(b"{", b"[", b"}"))
        monkeypatch.setattr("stats.admin.counted.LETTERS_AT_ONCE", 2)
        clerk = Staff("stats.view_deadletter", "stats.replay_deadletter")
        chosen = list(DeadLetter.objects.values_list("pk", flat=True))
        answer = clerk.post("stats_deadletter_changelist", action="replay", reason="Try again", _selected_action=chosen)
        assert messages_on(answer)[-1] == "Only the first 2 were processed. Select the rest again."
        assert StaffAction.objects.count() == 2

    def test_a_long_reason_can_be_read_on_the_list(self) -> None:
        consumers.count(batch(b"{"))
        DeadLetter.objects.update(reason=f"{'word ' * 50}end")
        page = Staff("stats.view_deadletter").get("stats_deadletter_changelist").content.decode()
        assert f"{'word ' * 50}end" in page

    def test_the_view_permission_does_not_allow_a_replay(self, order: Order, pen: Product) -> None:
        letter = self.mislaid(order, pen)
        ProductFactory(pk=777)
        onlooker = Staff("stats.view_deadletter", "stats.change_deadletter")
        with nothing_changes():
            onlooker.post(
                "stats_deadletter_changelist", action="replay", reason="Try again", _selected_action=[letter.pk]
            )
