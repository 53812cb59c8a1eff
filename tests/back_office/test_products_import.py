"""Product imports: preview of every line, import of valid lines, each once."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as By
from commerce.core.errors import ChangedMeanwhile
from commerce.core.locks import locked_transaction, product_lock
from products import operations, services
from products.admin import imports
from products.models import ImportLine, LineOutcome, Product, ProductImport, StockMovement
from products.rules import MOST_UNITS
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.books import broken_rules
from tests.factories import OPTIONAL, OPTIONAL_JSON, ProductFactory, UserFactory, order_of
from tests.layers import LOCKS_OFF, switched_off
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper
from tests.together import Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

SEND, PREVIEW = "products_product_import", "products_product_import_preview"
RIGHTS = (
    "products.view_product",
    "products.import_product",
    "products.add_product",
    "products.change_product",
    "products.adjust_stock",
)
HEAD = "id,name,description,price,is_active,stock_change"
REASON = "Spring list."


@pytest.fixture
def clerk() -> Staff:
    return Staff(*RIGHTS)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Pen", description="Blue.", price=3_000, stock=10)


def send(clerk: Staff, content: str | bytes, name: str = "spring.csv") -> Page:
    body = content if isinstance(content, bytes) else content.encode()
    return clerk.post(SEND, file=SimpleUploadedFile(name, body))


def sent(clerk: Staff, *lines: str, head: str = HEAD) -> int:
    """The id of the uploaded import, which is not confirmed yet."""
    answer = send(clerk, "\n".join([head, *lines]))
    assert answer.status_code == 302, errors_of(answer)
    return int(answer.headers["Location"].rstrip("/").rpartition("/")[2])


def looked_at(clerk: Staff, import_id: int, **query: str) -> Page:
    page = clerk.get(PREVIEW, import_id, **query)
    assert page.status_code == 200
    return page


def shown(page: Page) -> list[tuple[int, str, list[tuple[str, str | None, str]], str]]:
    """The number, label, changes and message of each line."""
    return [
        (each.line.number, str(each.label), [(str(name), *rest) for name, *rest in each.changes], each.line.message)
        for each in page.context["lines"]
    ]


def press(clerk: Staff, import_id: int, **values: Any) -> Page:
    return clerk.post(PREVIEW, import_id, **{"reason": REASON, **values})


def past(clerk: Staff) -> list[tuple[str, str, int, int, str, bool]]:
    """The columns of past imports: file, sender, rows imported and refused, reason, and whether it is a link."""
    return [
        (each.file_name, each.sender, each.imported_count, each.refused_count, each.reason, is_open)
        for each, is_open in clerk.get("products_product_imports").context["imports"]
    ]


def messages_about(clerk: Staff, *lines: str, head: str = HEAD) -> list[str]:
    return [line[3] for line in shown(looked_at(clerk, sent(clerk, *lines, head=head)))]


class TestThePreview:
    def test_shows_the_plan_of_every_line_and_changes_nothing(self, clerk: Staff, pen: Product) -> None:
        ink = ProductFactory(name="Ink", description="", price=7_000, stock=5)
        with nothing_changes():
            page = looked_at(
                clerk,
                sent(
                    clerk,
                    f"{pen.pk},Fountain pen,Blue.,3500,no,-4",
                    f"{ink.pk},Ink,,7000,yes,",
                    ",먹,,12300,,25",
                    "999999999,Ghost,,1,,",
                ),
            )
        assert shown(page) == [
            (
                2,
                "Change",
                [
                    ("name", "Pen", "Fountain pen"),
                    ("price (won)", "₩3,000", "₩3,500"),
                    ("for sale", "yes", "no"),
                    ("stock", "10", "6"),
                ],
                "",
            ),
            (3, "Unchanged", [], ""),
            (
                4,
                "New",
                [
                    ("description", None, ""),
                    ("price (won)", None, "₩12,300"),
                    ("for sale", None, "yes"),
                    ("stock", None, "25"),
                ],
                "",
            ),
            (5, "Error", [], "There is no product 999999999."),
        ]
        counts = {str(name): count for _value, name, count, _chosen in page.context["tabs"]}
        assert counts == {"All": 4, "New": 1, "Change": 1, "Unchanged": 1, "Error": 1}
        assert page.context["button"] == "Import 2 good rows"
        assert page.context["left_out"].startswith("1 row with an error is skipped.")

    def test_can_be_filtered_by_errors(self, clerk: Staff, pen: Product) -> None:
        import_id = sent(clerk, f"{pen.pk},Pen,,1,,", "x,,,,,")
        assert [line[0] for line in shown(looked_at(clerk, import_id, show="WRONG"))] == [3]

    def test_is_paginated_with_few_queries(self, clerk: Staff) -> None:
        with statements() as sending:
            import_id = sent(clerk, *(f",Pen {number},,100,," for number in range(3_000)))
        with statements() as looking:
            page = looked_at(clerk, import_id, p="3")
        assert [line[0] for line in shown(page)] == list(range(202, 302))
        assert len(sending) <= 15
        assert len(looking) <= 10

    def test_empty_cells_and_missing_columns_change_nothing(self, clerk: Staff, pen: Product) -> None:
        import_id = sent(clerk, f"{pen.pk},", head="id,price")
        assert shown(looked_at(clerk, import_id))[0][1] == "Unchanged"

    def test_ignores_differences_of_line_breaks(self, clerk: Staff) -> None:
        lamp = ProductFactory(name="Lamp", description="Two\r\nlines.", price=1, stock=0)
        import_id = sent(clerk, f'{lamp.pk},Lamp,"Two\nlines.",1,yes,0')
        assert shown(looked_at(clerk, import_id))[0][1] == "Unchanged"

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("x,Pen,,1,,", "“x” is not the number of a product."),
            ("-1,Pen,,1,,", "“-1” is not the number of a product."),
            ("1.5,Pen,,1,,", "“1.5” is not the number of a product."),
            ("0,Pen,,1,,", "“0” is not the number of a product."),
            ("９,Pen,,1,,", "“９” is not the number of a product."),
            ("9223372036854775808,Pen,,1,,", "“9223372036854775808” is not the number of a product."),
            ("9223372036854775807,Pen,,1,,", "There is no product 9223372036854775807."),
            (",,,1,,", "A new product needs a name."),
            (",Pen,,,,", "A new product needs a price."),
            (",,,,,5", "A new product needs a name. A new product needs a price."),
            (f",{'x' * 201},,1,,", "The name has more than 200 characters."),
            (',"Pen\nInk",,1,,', "The name has several lines."),
            (",Pen,,-1,,", "“-1” is not a price in whole won."),
            (",Pen,,1.5,,", "“1.5” is not a price in whole won."),
            (",Pen,,1e3,,", "“1e3” is not a price in whole won."),
            (",Pen,,cheap,,", "“cheap” is not a price in whole won."),
            (',Pen,,"1,23",,', "“1,23” is not a price in whole won."),
            (",Pen,,1000000000001,,", "The price is higher than 1,000,000,000,000 won."),
            (f",Pen,,{'9' * 31},,", f"“{'9' * 31}” is not a price in whole won."),
            (",Pen,,1,maybe,", "“maybe” is neither yes nor no."),
            (",Pen,,1,,many", "“many” is not a number of units."),
            (",Pen,,1,,1.5", "“1.5” is not a number of units."),
            (",Pen,,1,,1000001", "No more than 1,000,000 units at once."),
            (",Pen,,1,,-1", "A new product has no stock to remove."),
            (",=1+1,,1,,", "“=1+1” is a formula; only values are read."),
            (
                ",Pen,,1,,,9",
                "There are more cells than headings; a comma inside a cell needs quotation marks around it.",
            ),
        ],
    )
    def test_reports_errors_of_a_line(self, clerk: Staff, line: str, sentence: str) -> None:
        with nothing_changes():
            assert messages_about(clerk, line) == [sentence]

    def test_reports_errors_of_a_stock_change(self, clerk: Staff, pen: Product) -> None:
        grains = ProductFactory(stock=MOST_UNITS)
        messages = messages_about(clerk, f"{pen.pk},,,,,-11", f"{grains.pk},,,,,1")
        assert messages == ["The stock is only 10.", "The stock would be more than 1,000,000,000."]

    def test_refuses_all_lines_of_a_repeated_product(self, clerk: Staff, pen: Product) -> None:
        twice = f"Product {pen.pk} is in lines 2, 4."
        assert messages_about(clerk, f"{pen.pk},Pencil,,,,", ",Ink,,1,,", f"{pen.pk},,,5,,") == [twice, "", twice]

    @pytest.mark.parametrize(
        ("cells", "read"),
        [
            ('"12,300",예,+3', (12_300, True, 3)),
            ("₩12300,아니오,−2", (12_300, False, -2)),
            ("12300원,FALSE,-2", (12_300, False, -2)),
            ("\\12300,판매 중지,1", (12_300, False, 1)),
            ('"₩1,234,567",1,"1,000"', (1_234_567, True, 1_000)),
        ],
    )
    def test_accepts_common_spellings(
        self, clerk: Staff, pen: Product, cells: str, read: tuple[int, bool, int]
    ) -> None:
        sent(clerk, f"{pen.pk},,,{cells}")
        line = ImportLine.objects.get()
        values = {"price": 3_000, "is_active": True, **line.values}
        assert (values["price"], values["is_active"], line.stock_change) == read

    @pytest.mark.parametrize("language", ["en", "ko"])
    @pytest.mark.parametrize("kind", ["csv", "xlsx"])
    def test_of_an_unchanged_export_has_no_changes(self, pen: Product, language: str, kind: str) -> None:
        ProductFactory(name="=SUM(1)", description="-5% 할인\r\n@home", is_active=False, stock=0)
        ProductFactory(name="'=1+1", description="'-5% 할인")
        ProductFactory(name="＝1+1", description="'＋82")
        taking = Staff(*RIGHTS, "products.export_product")
        address = reverse("admin:products_product_export", args=[kind])
        content = taking.client.get(address, headers={"Accept-Language": language}).content
        answer = send(taking, content, f"list.{kind}")
        assert answer.status_code == 302
        assert list(ImportLine.objects.order_by("number").values_list("plan", "message")) == [("NOTHING", "")] * 4


class TestTheImport:
    def test_imports_valid_lines_and_skips_invalid_ones(self, clerk: Staff, pen: Product) -> None:
        shopper = Shopper()
        shopper.get("/api/products")
        import_id = sent(clerk, f"{pen.pk},Fountain pen,,3500,,-4", "x,,,,,", ",먹,검은색,12300,,25")
        answer = press(clerk, import_id)
        assert messages_on(answer) == ["2 rows are imported."]
        ink = Product.objects.get(name="먹")
        assert shopper.get("/api/products").json["results"] == [
            {
                "id": pen.pk,
                "name": "Fountain pen",
                "description": "Blue.",
                "price": 3_500,
                "stock": 6,
                **OPTIONAL_JSON,
            },
            {"id": ink.pk, "name": "먹", "description": "검은색", "price": 12_300, "stock": 25, **OPTIONAL_JSON},
        ]
        moved = (
            StockMovement.objects.exclude(actor_id=None)
            .order_by("product_id")
            .values_list("product_id", "reason", "quantity", "actor_id", "note")
        )
        assert list(moved) == [
            (pen.pk, "ADJUSTMENT", -4, clerk.user.pk, REASON),
            (ink.pk, "OPENING", 25, clerk.user.pk, ""),
        ]
        assert [line[:2] for line in shown(looked_at(clerk, import_id))] == [
            (2, "Imported"),
            (3, "Error"),
            (4, "Imported"),
        ]
        assert broken_rules() == set()

    def test_sets_and_removes_purchase_limits(self, clerk: Staff, pen: Product) -> None:
        head = "id,name,price,purchase limit"
        for cell, limit in (("3", 3), ("", 3), ("none", None), ("없음", None), ("1,000", 1_000)):
            import_id = sent(clerk, f'{pen.pk},,,"{cell}"', ",Ink,1,2", head=head)
            press(clerk, import_id)
            pen.refresh_from_db()
            assert pen.purchase_limit == limit, cell
        assert Product.objects.filter(name="Ink", purchase_limit=2).count() == 5
        for cell in ("0", "-1", "1.5", "many", "1000001"):
            import_id = sent(clerk, f"{pen.pk},,,{cell}", head=head)
            assert "is not a purchase limit" in looked_at(clerk, import_id).content.decode()
        pen.refresh_from_db()
        assert pen.purchase_limit == 1_000

    def test_is_recorded_for_every_product(self, clerk: Staff, pen: Product) -> None:
        press(clerk, sent(clerk, f"{pen.pk},,,3500,,-4", ",Ink,,7000,no,25"))
        changed, added = StaffAction.objects.order_by("id")
        assert (changed.action, changed.subject_id, changed.reason) == ("Imported", str(pen.pk), REASON)
        assert changed.before == {"price": 3_000, "stock": 10}
        assert changed.after == {"price": 3_500, "stock": 6, "file": "spring.csv"}
        assert (added.action, added.subject_id, added.reason) == ("Added", str(Product.objects.latest("id").pk), REASON)
        told = {"name": "Ink", "description": "", "price": 7_000, "is_active": False, "stock": 25}
        assert added.after == {**told, **OPTIONAL}
        assert {changed.actor_id, added.actor_id} == {clerk.user.pk}

    def test_does_nothing_the_second_time(self, clerk: Staff, pen: Product) -> None:
        import_id = sent(clerk, f"{pen.pk},,,,,-4", ",Ink,,7000,,25")
        press(clerk, import_id)
        with nothing_changes():
            press(clerk, import_id)
        assert looked_at(clerk, import_id).context["good"] == 0
        assert StaffAction.objects.count() == 2

    def test_the_same_file_can_be_uploaded_again(self, clerk: Staff, pen: Product) -> None:
        for _ in range(2):
            press(clerk, sent(clerk, f"{pen.pk},,,,,-4"))
        pen.refresh_from_db()
        assert pen.stock == 2

    def test_is_done_once_by_concurrent_clicks(self, clerk: Staff, pen: Product) -> None:
        """Ensured by the locks of the lines alone, without the shop's locks."""
        import_id = sent(clerk, f"{pen.pk},,,,,-4", *(f",Ink {number},,7000,,25" for number in range(5)))
        with switched_off(LOCKS_OFF):
            answers = together([partial(press, clerk, import_id) for _ in range(3)])
        assert [answer.status_code for answer in answers] == [302] * 3
        pen.refresh_from_db()
        assert (pen.stock, Product.objects.count()) == (6, 6)
        assert broken_rules() == set()

    def test_control_without_line_locks_it_is_done_twice(self, clerk: Staff, pen: Product) -> None:
        """The control of the test above."""
        import_id = sent(clerk, f"{pen.pk},,,,,-4", ",Ink,,7000,,25")
        meeting = Meeting()

        def look(import_id: int, numbers: Sequence[int]) -> list[ImportLine]:
            lines = list(ImportLine.objects.filter(product_import_id=import_id, outcome=LineOutcome.WAITING))
            meeting.attend()
            return lines

        with switched_off(LOCKS_OFF), mock.patch.object(operations, "lock_waiting_lines", look):
            together([partial(press, clerk, import_id) for _ in range(2)])
        assert meeting.took_place
        pen.refresh_from_db()
        assert (pen.stock, Product.objects.filter(name="Ink").count()) == (2, 2)

    def test_an_interrupted_import_continues(self, clerk: Staff) -> None:
        product_import = ProductImport.objects.get(pk=sent(clerk, *(f",Ink {each},,1,,1" for each in range(5))))
        by = By(clerk.user.pk, REASON)
        with mock.patch.object(services, "LINES_AT_ONCE", 2):
            assert services.import_products(product_import, by=by, within_seconds=-1) == 3
            assert Product.objects.count() == 2
            page = looked_at(clerk, product_import.pk)
            assert page.context["button"] == "Import 3 good rows"
            assert page.context["form"]["reason"].value() == REASON
            assert services.import_products(product_import, by=by, within_seconds=60) == 0
        assert sorted(Product.objects.values_list("name", flat=True)) == [f"Ink {number}" for number in range(5)]

    def test_shows_what_is_left_after_the_time_limit(self, clerk: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(imports, "IMPORT_SECONDS", -1.0)
        monkeypatch.setattr(services, "LINES_AT_ONCE", 2)
        import_id = sent(clerk, *(f",Ink {number},,1,,1" for number in range(5)))
        assert messages_on(press(clerk, import_id)) == [
            "2 rows are imported.",
            "3 rows are left; press the button again.",
        ]

    def test_a_lock_timeout_is_reported_and_can_be_retried(self, clerk: Staff, pen: Product, settings: Any) -> None:
        settings.LOCK_WAIT_SECONDS = 0.1
        import_id = sent(clerk, f"{pen.pk},,,,,-4")
        with locked_transaction(product_lock(pen.pk)):
            answers = together([partial(press, clerk, import_id)])
        assert messages_on(answers[0]) == ["Too many requests need the same rows right now. Nothing was changed."]
        pen.refresh_from_db()
        assert pen.stock == 10
        assert messages_on(press(clerk, import_id))[-1] == "1 row is imported."

    def test_locks_products_in_the_order_of_orders(self, clerk: Staff) -> None:
        first, second = ProductFactory(stock=5), ProductFactory(stock=5)
        import_id = sent(clerk, f"{second.pk},,,,,1", f"{first.pk},,,,,1")
        locked: list[list[int]] = []
        lock = operations.lock_products

        def noting(product_ids: Sequence[int]) -> dict[int, Product]:
            products = lock(product_ids)
            locked.append(list(products))
            return products

        with mock.patch.object(operations, "lock_products", noting):
            press(clerk, import_id)
        assert locked == [[first.pk, second.pk]]


class TestMeanwhile:
    def test_a_product_changed_meanwhile_is_skipped(self, clerk: Staff, pen: Product) -> None:
        import_id = sent(clerk, f"{pen.pk},,,3500,,-4", ",Ink,,1,,")
        pen.price = 9_000
        services.save_product(pen, by=By(clerk.user.pk))
        answer = press(clerk, import_id)
        assert messages_on(answer) == ["1 row is imported.", "1 row was refused; the row shows the reason."]
        pen.refresh_from_db()
        assert (pen.price, pen.stock) == (9_000, 10)
        assert shown(looked_at(clerk, import_id, show="REFUSED")) == [
            (
                2,
                "Refused",
                [("price (won)", "₩3,000", "₩3,500"), ("stock", "10", "6")],
                "Somebody else has changed it since the file was read.",
            )
        ]
        with nothing_changes():
            press(clerk, import_id)

    def test_sales_meanwhile_do_not_matter(self, clerk: Staff, pen: Product) -> None:
        import_id = sent(clerk, f"{pen.pk},,,3500,,-4")
        order_of(UserFactory(balance=10_000), {pen: 2})
        press(clerk, import_id)
        pen.refresh_from_db()
        assert (pen.price, pen.stock) == (3_500, 4)

    def test_too_little_stock_refuses_the_whole_line(self, clerk: Staff, pen: Product) -> None:
        import_id = sent(clerk, f"{pen.pk},,,3500,,-9")
        order_of(UserFactory(balance=10_000), {pen: 2})
        with nothing_changes():
            press(clerk, import_id)
        assert shown(looked_at(clerk, import_id))[0][3] == "The stock is only 8."
        assert StaffAction.objects.count() == 0

    def test_a_concurrently_saved_price_is_not_overwritten(self, clerk: Staff, pen: Product) -> None:
        """Both changes are based on the old price, so the second one is refused."""
        import_id = sent(clerk, f"{pen.pk},,,3500,,")
        stale = Product.objects.get(pk=pen.pk)
        stale.price = 9_000

        def pressed() -> None:
            press(clerk, import_id)

        def saved() -> None:
            with suppress(ChangedMeanwhile):
                services.save_product(stale, by=By(clerk.user.pk), seen={"price": 3_000})

        together([saved, pressed])
        outcome = ImportLine.objects.get().outcome
        pen.refresh_from_db()
        assert (pen.price, outcome) in ((9_000, "REFUSED"), (3_500, "IMPORTED"))
        assert StaffAction.objects.count() == 1


class TestTheFile:
    def test_is_kept_for_a_day(self, clerk: Staff) -> None:
        old = sent(clerk, ",Ink,,1,,")
        ProductImport.objects.update(uploaded_at=timezone.now() - timedelta(hours=24))
        with nothing_changes():
            answer = press(clerk, old)
        assert answer.headers["Location"] == reverse("admin:products_product_import")
        assert messages_on(answer) == ["This file is not stored any more. Upload it again."]
        ProductImport.objects.update(uploaded_at=timezone.now() - timedelta(hours=25))
        new = sent(clerk, ",Ink,,1,,")
        assert list(ProductImport.objects.values_list("pk", flat=True)) == [new]
        assert list(ImportLine.objects.values_list("product_import_id", flat=True)) == [new]

    def test_stays_in_the_list_of_past_imports(self, clerk: Staff, pen: Product) -> None:
        ink = ProductFactory(name="Ink", price=7_000)
        waiting, done = sent(clerk, ",Never,,1,,"), sent(clerk, f"{pen.pk},,,3500,,", f"{ink.pk},,,7500,,", ",Cup,,1,,")
        assert past(clerk) == []
        Product.objects.filter(pk=ink.pk).update(price=7_100)
        press(clerk, done, confirmed="on")
        assert past(clerk) == [("spring.csv", clerk.user.username, 2, 1, REASON, True)]
        colleague = Staff(*RIGHTS)
        assert past(colleague) == [("spring.csv", clerk.user.username, 2, 1, REASON, False)]
        # A repeated request has no effect.
        press(clerk, done, confirmed="on")
        ProductImport.objects.update(uploaded_at=timezone.now() - timedelta(hours=25))
        new = sent(clerk, ",Ink,,1,,")
        assert past(clerk) == [("spring.csv", clerk.user.username, 2, 1, REASON, False)]
        assert set(ProductImport.objects.values_list("pk", flat=True)) == {done, new}
        assert waiting not in ImportLine.objects.values_list("product_import_id", flat=True)
        assert done not in ImportLine.objects.values_list("product_import_id", flat=True)

    def test_is_listed_with_the_import_permission(self) -> None:
        assert Staff("products.view_product").get("products_product_imports").status_code == 403

    def test_is_shown_only_to_its_sender(self, clerk: Staff) -> None:
        import_id = sent(clerk, ",Ink,,1,,")
        other = Staff(superuser=True)
        with nothing_changes():
            assert other.get(PREVIEW, import_id).status_code == 302
            assert press(other, import_id).status_code == 302
        assert ",Ink" not in other.get(SEND).content.decode()
        assert "spring.csv" in clerk.get(SEND).content.decode()
        assert "spring.csv" not in other.get(SEND).content.decode()

    def test_cannot_be_altered_from_the_form(self, clerk: Staff, pen: Product) -> None:
        """The changes are stored in the database; the form only contains a reason."""
        import_id = sent(clerk, f"{pen.pk},,,3500,,")
        forged = {"price": "1", "values": '{"price": 1}', "lines": "2", "seen": "{}", "plan": "ADD", "staff_id": "1"}
        press(clerk, import_id, **forged)
        pen.refresh_from_db()
        assert pen.price == 3_500
        assert StaffAction.objects.get().actor_id == clerk.user.pk

    @pytest.mark.parametrize("reason", ["", " ", "x" * 201])
    def test_needs_a_reason(self, clerk: Staff, pen: Product, reason: str) -> None:
        import_id = sent(clerk, f"{pen.pk},,,3500,,")
        with nothing_changes():
            assert list(errors_of(press(clerk, import_id, reason=reason))) == ["reason"]

    @pytest.mark.parametrize("import_id", [0, 999_999_999, 2**63, 10**30])
    def test_an_unknown_one_is_not_found(self, clerk: Staff, import_id: int) -> None:
        assert clerk.get(PREVIEW, import_id).status_code == 302
        assert press(clerk, import_id).status_code == 302

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", "The submitted file is empty."),
            (b"\x89PNG\r\n\x1a\n\x00\x00", "The file is neither CSV in UTF-8 or Korean (CP949) nor XLSX."),
            (b"x" * (2 * 1024 * 1024 + 1), "The file is larger than 2 MB."),
        ],
    )
    def test_an_unreadable_one_is_reported_at_its_field(self, clerk: Staff, content: bytes, sentence: str) -> None:
        assert errors_of(send(clerk, content)) == {"file": [sentence]}
        assert ProductImport.objects.count() == 0

    def test_is_required(self, clerk: Staff) -> None:
        assert list(errors_of(clerk.post(SEND, other="1"))) == ["file"]

    def test_may_have_any_name(self, clerk: Staff) -> None:
        send(clerk, f"{HEAD}\n,Ink,,1,,", "../../etc/<b>봄<i>" + "x" * 150 + ".exe")
        kept = ProductImport.objects.get()
        assert kept.file_name.startswith("<b>봄")
        page = looked_at(clerk, kept.pk).content.decode()
        assert "&lt;b&gt;봄" in page
        assert "<b>봄" not in page

    @pytest.mark.parametrize(("language", "heading"), [("en", "id,name"), ("ko", "번호,이름")])
    def test_an_empty_one_has_the_headings(self, clerk: Staff, language: str, heading: str) -> None:
        address = reverse("admin:products_product_import_empty", args=["csv"])
        content = clerk.client.get(address, headers={"Accept-Language": language}).content
        assert content.decode("utf-8-sig").startswith(heading)
        assert send(clerk, content + b",Ink,,1,,\n").status_code == 302

    def test_an_empty_one_is_available_as_xlsx(self, clerk: Staff) -> None:
        content = clerk.get("products_product_import_empty", "xlsx").content
        assert errors_of(send(clerk, content, "a.xlsx")) == {"file": ["There are no rows below the headings."]}
        assert clerk.get("products_product_import_empty", "exe").status_code == 404


class TestRights:
    def test_without_the_permission_it_is_refused(self, clerk: Staff) -> None:
        import_id = sent(clerk, ",Ink,,1,,")
        other = Staff("products.view_product", "products.add_product", "products.change_product")
        address = reverse("admin:products_product_import")
        assert address not in other.get("products_product_changelist").content.decode()
        assert address in clerk.get("products_product_changelist").content.decode()
        with nothing_changes():
            assert other.get(SEND).status_code == 403
            assert send(other, f"{HEAD}\n,Ink,,1,,").status_code == 403
            assert other.get(PREVIEW, import_id).status_code == 403
            assert press(other, import_id).status_code == 403
            assert other.get("products_product_import_empty", "csv").status_code == 403

    @pytest.mark.parametrize(
        ("line", "missing", "sentence"),
        [
            (",Ink,,1,,5", "add_product", "You may not add products."),
            ("{pen},Pencil,,,,", "change_product", "You may not change products."),
            ("{pen},,,,,5", "adjust_stock", "You may not adjust the stock."),
        ],
    )
    def test_an_import_requires_the_permissions_of_its_changes(
        self, pen: Product, line: str, missing: str, sentence: str
    ) -> None:
        rights = [right for right in RIGHTS if right != f"products.{missing}"]
        assert messages_about(Staff(*rights), line.format(pen=pen.pk)) == [sentence]

    @pytest.mark.parametrize(
        ("line", "lost"),
        [
            (",Ink,,1,,5", "add_product"),
            ("{pen},Pencil,,,,", "change_product"),
            ("{pen},,,,,5", "adjust_stock"),
            (",Ink,,1,,5", "import_product"),
        ],
    )
    def test_permissions_are_checked_at_the_import(self, clerk: Staff, pen: Product, line: str, lost: str) -> None:
        import_id = sent(clerk, line.format(pen=pen.pk))
        clerk.user.user_permissions.remove(clerk.user.user_permissions.get(codename=lost))
        with nothing_changes():
            assert press(clerk, import_id).status_code == 403

    def test_a_request_without_a_csrf_token_is_refused(self, clerk: Staff) -> None:
        import_id = sent(clerk, ",Ink,,1,,")
        clerk.client.handler.enforce_csrf_checks = True
        with nothing_changes():
            assert press(clerk, import_id).status_code == 403
            assert send(clerk, f"{HEAD}\n,Ink,,1,,").status_code == 403
        assert ProductImport.objects.count() == 1
