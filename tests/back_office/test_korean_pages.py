"""Korean pages of the back-office contain no English."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from balances.models import User
from commerce.back_office.roles import make_groups
from commerce.back_office.second_factor import NEW_KEY
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import meanings
from commerce.invariants.models import InvariantCheck
from commerce.notes.models import Note
from commerce.outbox.models import EndReason, OutboxMessage, WebhookSubscription
from commerce.staff_access.session_ends import SEEN_AT
from commerce.staff_pages.models import SavedView
from commerce.staff_pages.saved_views import MOST_OF_A_LIST
from coupons.models import Coupon
from products.models import Product, ProductImport
from reservations.services import reserve
from stats.models import DeadLetter
from tests.back_office.korean import KOREAN, Reader, english_in
from tests.back_office.test_accounts_second_factor import code_of, wrong_code
from tests.back_office.test_refusals import PASSWORD
from tests.back_office.test_roles import LISTS, pages
from tests.factories import StaffFactory, UserFactory
from tests.operations.busy_shop import BusyShop, busy_shop
from tests.outbox.conftest import publish_events
from tests.page_text import texts_of
from tests.web_forms import fields_of
from tests.webhooks.conftest import subscribe

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {"jsi18n", "autocomplete", *(f"{label.replace('.', '_')}_export" for label in LISTS)}
"""Responses that are not pages."""
ELSEWHERE = {"app_list", "view_on_site", "mail_previews", "mail_preview", "mail_preview_html"}
"""Excluded: shows the same as the lists, has no page, or shows e-mails in all languages (tests/mail)."""


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop() -> BusyShop:
    """A shop with rows of every kind and Korean names."""
    make_groups(apps)
    busy = busy_shop()
    broken = [{"invariant": name, "count": 1, "examples": ["상품 1"]} for name in meanings()]
    InvariantCheck.objects.create(
        checked_at=timezone.now(), duration_ms=1, holds=False, asked_count=30, is_deep=True, is_quiet=True,
        violations=broken, skipped=[*meanings()],
    )  # fmt: skip
    subscribe("https://partner.example/hooks", name="창고")
    reserve(user_id=busy.mina.pk, quantities={busy.pen.pk: 1}, idempotency=Idempotency.none())
    with transaction.atomic():
        # Audit records cannot be changed.
        sql.execute("SET LOCAL session_replication_role = replica")
        sql.execute("""UPDATE "user" SET username = '손님' || id""")
        sql.execute("UPDATE product SET name = '연필' || id, description = '파란색'")
        sql.execute("UPDATE order_item SET product_name = '연필'")
        sql.execute("UPDATE coupon SET name = '쿠폰' || id")
        sql.execute("UPDATE refund SET reason = '고객 요청'")
        sql.execute("UPDATE staff_action SET reason = '선반 뒤에서 찾음'")
        sql.execute("UPDATE stock_movement SET note = '선반 뒤에서 찾음' WHERE note <> ''")
        sql.execute("UPDATE dead_letter SET reason = '읽을 수 없음'")
        sql.execute("UPDATE idempotency_key SET key = '열쇠' || id")
    return busy


@pytest.fixture
def reader(shop: BusyShop) -> Reader:
    reader = Reader()
    User.objects.filter(pk=reader.user.pk).update(username="직원")
    return reader


@pytest.fixture(autouse=True)
def nothing_english(reader: Reader) -> Iterator[None]:
    yield
    assert reader.english == {}


def first(model: type[Model]) -> Any:
    row = model._default_manager.order_by("pk").first()
    assert row is not None, model
    return row.pk


def rows_of_actions(shop: BusyShop) -> dict[str, tuple[Any, ...]]:
    """Further pages, with the row for which each is opened."""
    return {
        "index": (),
        "orders_order_cancel": (shop.last.pk,),
        "orders_order_refund": (shop.refunded.pk,),
        "orders_order_of_refund": (10**6,),
        "orders_order_receipt": (shop.cancelled.pk,),
        "orders_order_packing_slip": (shop.cancelled.pk,),
        "products_product_adjust_stock": (shop.pen.pk,),
        "products_product_edit": (),
        "products_product_imports": (),
        "products_product_import": (),
        "products_product_import_empty": ("csv",),
        "products_product_import_preview": (10**6,),
        "coupons_coupon_stop": (first(Coupon),),
        "stats_productstat_rebuild": (),
        "balances_user_adjust": (shop.mina.pk,),
        "auth_user_password_change": (shop.mina.pk,),
        "password_change": (),
        "password_change_done": (),
        "outbox_webhooksubscription_rotate": (first(WebhookSubscription),),
        "outbox_webhooksubscription_remove": (first(WebhookSubscription),),
        "outbox_webhooksubscription_send_parked": (first(WebhookSubscription),),
        "second_factor": (),
        "second_factor_take_off": (shop.mina.pk,),
    }


FIELDS = (
    *(
        "username",
        "password1",
        "password2",
        "email",
        "name",
        "price",
        "opening_stock",
        "delta",
        "amount_won",
        "direction",
    ),
    *("discount_type", "discount_value", "max_discount", "min_order_amount", "total_quantity", "issue_starts_at_0"),
    *("issue_ends_at_0", "valid_until_0", "day", "code", "old_password", "new_password1", "new_password2", "groups"),
    *("user_permissions", "permissions", "opened", "form_key", "file", "url", "event_types", "overlap_hours"),
)
NONSENSE: tuple[dict[str, Any], ...] = (
    {},
    {"post": "yes"},
    dict.fromkeys(FIELDS, "없는 값"),
    dict.fromkeys(FIELDS, "9" * 30),
    dict.fromkeys(FIELDS, "-1"),
)


def test_all_pages_and_forms_with_invalid_values(reader: Reader, shop: BusyShop) -> None:
    for label in LISTS:
        page, model = label.replace(".", "_"), apps.get_model(label)
        reader.get(f"{page}_changelist")
        reader.get(f"{page}_changelist", q="없는 이름")
        reader.get(f"{page}_changelist", state="없는 값", status="없는 값")
        rows = model._default_manager.exclude(pk=reader.user.pk).order_by("-pk")[:3]
        for kind in ("change", "history", "delete"):
            for row_id in (*(row.pk for row in rows), 10**6):
                reader.get(f"{page}_{kind}", row_id)
        for values in NONSENSE:
            reader.post(f"{page}_add", **values)
            reader.post(f"{page}_change", rows[0].pk, **values)
        reader.get(f"{page}_add")
    for page, arguments in rows_of_actions(shop).items():
        reader.get(page, *arguments)
        for values in NONSENSE:
            reader.post(page, *arguments, **values)
    reader.get("orders_order_cancel_many", ids=f"{shop.last.pk},{shop.with_coupon.pk}")
    reader.get("search", s="주문")
    reader.get("search", s="없는 이름")
    reader.get("search", s="없는 이름", go="1")
    reader.press("note_write", "balances.user", shop.mina.pk, text="오후에 전화 주세요", pinned="on")
    for change_to in ("unpin", "pin", "hide"):
        reader.post("note_change", first(Note), change_to)
        reader.get("balances_user_change", shop.mina.pk)
    reader.get("sessions")
    reader.get("recovery_codes")
    reader.post("session_end", 10**6)
    reader.post("view_save", "orders.order", name="", query="")
    reader.post("view_delete", 10**6)
    reader.visit("/admin/login/", Client(headers=KOREAN))
    reader.visit("/admin/logout/", post="yes")
    assert set(pages(admin.site.urls[0])) - reader.opened - FILES - ELSEWHERE == set()


def test_statistics_compared_with_orders(reader: Reader, shop: BusyShop) -> None:
    reader.get("stats_productstat_changelist", days="7", compare="1")
    sql.execute("UPDATE product_stat SET quantity_sold = quantity_sold + 1")
    reader.get("stats_productstat_changelist", days="7", compare="1")
    reader.get("stats_productstat_changelist", from_date="2026-02-30", to_date="없는 날", product=str(shop.pen.pk))
    reader.get("stats_productstat_rebuild", day=timezone.localdate().isoformat())
    reader.press("stats_productstat_rebuild", day=timezone.localdate().isoformat(), reason="다시 셉니다")
    reader.get("audit_staffaction_changelist")


def test_money_stock_and_orders(reader: Reader, shop: BusyShop) -> None:
    for direction, amount in (("credit", "500"), ("debit", "200"), ("debit", str(10**8)), ("credit", str(10**9))):
        wallet = ("balances_user_adjust", shop.mina.pk)
        asked = fields_of(reader.press(*wallet, direction=direction, amount_won=amount, reason="늦음").content.decode())
        for _twice in range(2):
            reader.post(*wallet, **asked)
    for delta in ("5", "-3", "0", "-1000"):
        reader.press("products_product_adjust_stock", shop.pen.pk, delta=delta, reason="다시 셈")
    reader.press("coupons_coupon_stop", shop.held.coupon_id, reason="일찍 끝냅니다")
    reader.get("coupons_coupon_stop", shop.held.coupon_id)
    cancel = fields_of(reader.get("orders_order_cancel", shop.last.pk).content.decode())
    for _twice in range(2):
        reader.post("orders_order_cancel", shop.last.pk, **{**cancel, "reason": "고객 요청"})
    reader.get("orders_order_cancel", shop.last.pk)
    _refund_lines(reader, shop)
    ticked = {"action": "cancel_and_refund", "_selected_action": [shop.with_coupon.pk, shop.cancelled.pk]}
    reader.post("orders_order_changelist", **ticked)
    ids = f"{shop.with_coupon.pk},{shop.cancelled.pk}"
    reader.get("orders_order_cancel_many", ids=ids)
    question = fields_of(reader.get("orders_order_cancel_many", ids=ids).content.decode())
    reader.visit(f"/admin/orders/order/cancel/?ids={ids}", None, **{**question, "reason": "고객 요청"})
    for page, row in (("orders_order", shop.last), ("balances_user", shop.mina), ("products_product", shop.pen)):
        reader.get(f"{page}_change", row.pk)
        reader.get(f"{page}_history", row.pk)
    reader.get("audit_staffaction_changelist")


def _refund_lines(reader: Reader, shop: BusyShop) -> None:
    page, chair = ("orders_order_refund", shop.refunded.pk), shop.chair.pk
    reader.get("orders_order_cancel", shop.refunded.pk)
    opened: dict[str, Any] = {**fields_of(reader.get(*page).content.decode()), "reason": "고객 요청"}
    reader.post(*page, **opened)
    ticked: dict[str, Any] = {**opened, f"line_{chair}": "on"}
    for units in ("", "0", "9"):
        reader.post(*page, **{**ticked, f"units_{chair}": units})
    question: dict[str, str] = {}
    for restock in ("on", None):
        reader.post(*page, **{**ticked, f"units_{chair}": "3", "restock": restock})
        question = fields_of(
            reader.post(*page, **{**ticked, f"units_{chair}": "1", "restock": restock}).content.decode()
        )
    for _twice in range(2):
        reader.post(*page, **question)
    rest = {**fields_of(reader.get(*page).content.decode()), "reason": "고객 요청", f"line_{shop.gift.pk}": "on"}
    reader.post(*page, **fields_of(reader.post(*page, **rest).content.decode()))
    for kind in ("change", "refund", "cancel"):
        reader.get(f"orders_order_{kind}", shop.refunded.pk)
    reader.get("balances_user_change", shop.refunded.user_id)
    reader.get("orders_order_changelist", refunds="with", status__exact="REFUNDED")


def test_added_and_changed_rows(reader: Reader, shop: BusyShop) -> None:
    reader.press("products_product_add", name="잉크", price="0", opening_stock="3", is_active="on")
    reader.press("products_product_add", name="잉크", price="1000", opening_stock="3", _continue="")
    stale = fields_of(reader.get("products_product_change", shop.pen.pk).content.decode())
    reader.press("products_product_change", shop.pen.pk, price="2900")
    reader.post("products_product_change", shop.pen.pk, **{**stale, "name": "만년필"})
    times = {"issue_starts_at_0": "2026-01-02", "issue_ends_at_0": "2026-01-01", "valid_until_0": "2025-01-01"}
    at = dict.fromkeys(("issue_starts_at_1", "issue_ends_at_1", "valid_until_1"), "00:00:00")
    kinds = ({"discount_type": "PERCENT", "discount_value": "120"}, {"discount_type": "FIXED", "max_discount": "5"})
    for kind in kinds:
        reader.press("coupons_coupon_add", name="새 쿠폰", total_quantity="5", **times, **at, **kind)
    reader.press("coupons_coupon_change", shop.held.coupon_id, total_quantity="1")
    reader.press("coupons_coupon_change", shop.held.coupon_id, total_quantity="7")
    weak, good = {"password1": "1234", "password2": "1234"}, {"password1": PASSWORD, "password2": PASSWORD}
    for passwords in ({**good, "password2": "다름"}, weak, good):
        reader.press("balances_user_add", username="새손님", **passwords)
        reader.press("auth_user_password_change", shop.mina.pk, **passwords)
    reader.press("balances_user_add", username="새손님", **good)
    rights = [str(right.pk) for right in Permission.objects.all()]
    staff = StaffFactory(username="새직원", is_superuser=False)
    reader.press("balances_user_change", staff.pk, is_staff="on", user_permissions=rights, username="새직원")
    reader.press("auth_group_add", name="야간조", permissions=rights)
    for page, row in (("balances_user", staff), ("auth_group", Group.objects.get(name="야간조"))):
        reader.get(f"{page}_change", row.pk)
        reader.get(f"{page}_history", row.pk)
    reader.get("audit_staffaction_changelist")


def test_filtered_lists_and_saved_views(reader: Reader, shop: BusyShop) -> None:
    filters = {
        "q": "손님",
        "status__exact": "COMPLETED",
        "ordered_date_days": "month",
        "paid_amount_from": "1",
        "user__id__exact": shop.mina.pk,
        "product": shop.pen.pk,
        "coupon": "without",
    }
    reader.get("orders_order_changelist", **filters)
    for period in ("today", "yesterday", "7", "30", "세기"):
        reader.get("balances_ledgerentry_changelist", created_at_days=period, user__id__exact=shop.mina.pk)
    reader.get("orders_order_changelist", ordered_date_from="2026-01-01")
    reader.get("orders_order_changelist", ordered_date_to="2026-01-01")
    reader.get("products_product_changelist", is_active__exact="1", level="out")
    for name, query in (("취소된 주문", "status__exact=CANCELLED"), ("", "q=1"), ("없음", "")):
        reader.post("view_save", "orders.order", name=name, query=query)
    for number in range(MOST_OF_A_LIST):
        reader.post("view_save", "orders.order", name=f"보기 {number}", query="q=1")
    reader.post("view_delete", first(SavedView))


def test_bulk_prices_and_a_duplicated_coupon(reader: Reader, shop: BusyShop) -> None:
    address = f"/admin/products/product/edit/?ids={','.join(str(each.pk) for each in Product.objects.all())}"
    fields = fields_of(reader.visit(address).content.decode())
    for typed in (
        {},
        {"all_prices": "percent"},
        {"number": "-900"},
        {"all_prices": "won", "number": "-1"},
        {"all_prices": "percent", "number": "5000"},
        {f"price_{shop.pen.pk}": "-1"},
        {"all_prices": "percent", "number": "-60", "all_sales": "no"},
    ):
        preview = reader.visit(address, None, **{**fields, **typed, "preview": "1"})
    question = fields_of(preview.content.decode())
    for typed in ({"again": "1"}, {"reason": ""}, {"reason": "봄 가격"}, {"reason": "봄 가격", "confirmed": "on"}):
        for _twice in range(2):
            reader.visit(address, None, **{**question, **typed})
    reader.visit(address, None, **{**question, "reason": "다시", "confirmed": "on", "form_key": str(uuid4())})
    reader.visit(address, None, **{**fields, "preview": "1"})
    for price in ("0", "99000000"):
        typed = {"preview": "1", "all_prices": "won", "number": price, "all_sales": "yes"}
        filled = {**fields_of(reader.visit(address).content.decode()), **typed}
        preview = reader.visit(address, None, **filled)
        question = fields_of(preview.content.decode())
        reader.visit(address, None, **{**question, "reason": "한 번에", "confirmed": "on"})
    reader.visit(f"/admin/coupons/coupon/add/?copy_of={shop.held.coupon_id}")
    reader.get("coupons_coupon_change", shop.held.coupon_id)
    for page in ("orders_order_receipt", "orders_order_packing_slip"):
        reader.get(page, shop.with_coupon.pk)


def test_product_imports(reader: Reader, shop: BusyShop) -> None:
    head = "id,name,description,price,is_active,stock_change,purchase_limit"
    good = f"{shop.pen.pk},만년필,,3500,아니오,-4\n,먹,,0,예,25\n,큰 먹,,99000000,예,1"
    bad = (
        "가,나,다,라,마,바\n-1,,,,,\n999999,없음,,1,,\n,,,,,\n,=1+1,,-5,?,1.5\n"
        f"{shop.pen.pk},,,,,-9999\n{shop.pen.pk},,,,,1\n,한정판,,100,,,0\n,한정판,,100,,,없음"
    )
    files = {
        "봄.csv": f"{head}\n{good}\n{bad}",
        "빈.csv": "",
        "열.csv": "가,나\n1,2",
        "머리.csv": head,
        "글.xlsx": "글",
        "글.pdf": "글",
    }
    for name, text in files.items():
        reader.post("products_product_import", file=SimpleUploadedFile(name, text.encode()))
    preview = ("products_product_import_preview", first(ProductImport))
    for shown in ("", "WRONG", "ADD", "CHANGE"):
        reader.get(*preview, show=shown)
    for values in ({"reason": ""}, {"reason": "봄 가격"}, {"reason": "봄 가격", "confirmed": "on"}, {"reason": "다시"}):
        reader.post(*preview, **values)
    reader.get("products_product_imports")
    ProductImport.objects.update(staff_id=shop.mina.pk)
    reader.get(*preview)


def test_deliveries_and_dead_letters(reader: Reader, shop: BusyShop) -> None:
    parked = OutboxMessage.objects.filter(destination="data-platform").latest("id")
    sent = OutboxMessage.objects.filter(destination="kafka", type="order-completed").latest("id")
    sql.execute("UPDATE outbox_message SET sent_at = NULL, parked_at = now(), attempts = 12 WHERE id = %s", [parked.pk])
    # A letter that can be counted: the reasons of others are English error messages.
    DeadLetter.objects.update(replayed_at=None, payload=sent.payload.encode())
    reader.get("index")
    reader.get("outbox_outboxmessage_change", parked.pk)
    lists = (("outbox_outboxmessage", "send_again"), ("stats_deadletter", "replay"))
    for page, action in lists:
        reader.post(f"{page}_changelist", action=action)
        reader.post(f"{page}_changelist", action="", _selected_action=[1])
    for ids in ([parked.pk, sent.pk], [sent.pk]):
        for reason in (None, "", "다시 보냅니다"):
            reader.post("outbox_outboxmessage_changelist", action="send_again", _selected_action=ids, reason=reason)
    for reason in (None, "", "이제 됩니다"):
        form = {"action": "replay", "_selected_action": [first(DeadLetter)], "reason": reason}
        reader.post("stats_deadletter_changelist", **form)
    for model, page in ((OutboxMessage, "outbox_outboxmessage"), (DeadLetter, "stats_deadletter")):
        reader.get(f"{page}_history", first(model))
    reader.get("audit_staffaction_changelist")


def test_webhooks(reader: Reader, shop: BusyShop) -> None:
    page, webhook = "outbox_webhooksubscription", first(WebhookSubscription)
    terms = {"name": "거래처", "url": "https://partner.example/", "event_types": ["order-completed"]}
    asked = fields_of(reader.get(f"{page}_add").content.decode())
    for url in (
        "http://partner.example/",
        "https://user@a.example/",
        "https://10.0.0.1/",
        "ftp",
        "https://가.example/",
    ):
        reader.post(f"{page}_add", **{**asked, **terms, "url": url})
    for _twice in range(2):
        reader.post(f"{page}_add", **{**asked, **terms})
    stale = fields_of(reader.get(f"{page}_change", webhook).content.decode())
    reader.press(f"{page}_change", webhook, name="새 창고", is_active=None)
    reader.post(f"{page}_change", webhook, **stale)
    reader.press(f"{page}_change", webhook, is_active="on")
    ended = {"is_active": False, "ended_at": timezone.now()}
    for columns in (
        {"failing_since": timezone.now() - timedelta(hours=3)},
        {**ended, "ended_for": EndReason.GONE},
        {**ended, "ended_for": EndReason.FAILING},
        {"is_active": True, "ended_at": None, "ended_for": "", "failing_since": None},
    ):
        WebhookSubscription.objects.filter(pk=webhook).update(**columns)
        for shown in ("index", f"{page}_changelist"):
            reader.get(shown)
        reader.get(f"{page}_change", webhook)
    publish_events()
    OutboxMessage.objects.filter(subscription_id=webhook).update(parked_at=timezone.now())
    reader.get("index")
    reader.get(f"{page}_change", webhook)
    OutboxMessage.objects.filter(subscription__isnull=False).update(event_id="order-completed:1:1", payload="{}")
    for action in ("send_parked", "rotate", "remove"):
        form = fields_of(reader.get(f"{page}_{action}", webhook).content.decode())
        for _twice in range(2):
            reader.post(f"{page}_{action}", webhook, **{**form, "reason": "그렇게 하기로 함"})
    reader.get(f"{page}_history", webhook)
    reader.get("audit_staffaction_changelist")


def test_the_login_and_the_second_factor(reader: Reader, settings: Any) -> None:
    door = "/admin/login/?next=/admin/"
    stranger = Client(headers=KOREAN)
    user = StaffFactory(username="민지", password=PASSWORD)
    customer = UserFactory(username="철수", password=PASSWORD)
    names = (
        {"username": "", "password": ""},
        {"username": "민지", "password": "틀림"},
        {"username": "철수", "password": PASSWORD},
    )
    for values in names:
        reader.visit(door, stranger, **values)
    stranger.force_login(customer)
    reader.visit("/admin/", stranger)
    reader.press("password_change", old_password="틀림", new_password1="1234", new_password2="다름")
    reader.get("second_factor")
    key = reader.client.session[NEW_KEY]
    device = TOTPDevice(user=reader.user, name="app", key=key)
    reader.press("second_factor", code=wrong_code(device))
    reader.press("second_factor", code=code_of(device))
    reader.get("second_factor")
    reader.get("recovery_codes")
    reader.press("recovery_codes", code=wrong_code(device))
    reader.press("second_factor", code=wrong_code(device))
    reader.press("second_factor", code=code_of(device, steps=1))
    TOTPDevice.objects.create(user=user, name="app")
    reader.visit(door, stranger, username="민지", password=PASSWORD, code="000000")
    reader.get("balances_user_change", user.pk)
    reader.press("second_factor_take_off", user.pk, reason="전화기를 잃음")
    settings.LOGIN_FAILURES_PER_MINUTE = 1
    for _each in range(3):
        answer = reader.visit(door, Client(headers=KOREAN), username="민지", password="틀림")
    assert answer.status_code == 429
    reader.get("audit_staffaction_changelist")


def test_refusals_and_forms_sent_after_the_session(
    reader: Reader, shop: BusyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = Client(headers=KOREAN)
    clerk.force_login(StaffFactory(username="신입", is_superuser=False))
    reader.visit("/admin/", clerk)
    path = reverse("admin:products_product_change", args=[shop.pen.pk])
    refused = {
        400: reader.visit("/admin/orders/order/?ordered_date__year=0"),
        403: reader.visit("/admin/orders/order/", clerk),
        404: reader.visit("/admin/nowhere/"),
        405: reader.visit("/admin/logout/"),
        413: reader.visit(path, name="가" * 300_000),
    }
    assert {answer.status_code for answer in refused.values()} == set(refused)
    browser = Client(enforce_csrf_checks=True, headers={**KOREAN, "Origin": "http://testserver"})
    browser.force_login(reader.user)
    browser.get("/admin/jsi18n/")
    forms = [
        reader.get(page, *arguments)
        for page, arguments in (
            ("coupons_coupon_add", ()),
            ("products_product_adjust_stock", (shop.pen.pk,)),
        )
    ]
    for form in forms:
        values = {**fields_of(form.content.decode()), "name": "새 쿠폰", "reason": "이유"}
        # Without its CSRF token, as after a login in another tab.
        assert reader.visit(form.wsgi_request.path, browser, **values).status_code == 403
    reader.visit(path, Client(enforce_csrf_checks=True, headers=KOREAN), name="만년필")
    session = browser.session
    session[SEEN_AT] -= 24 * 3_600
    session.save()
    reader.visit(path, browser, name="만년필")
    reader.client.raise_request_exception = False
    for error, status in ((OperationalError("away"), 503), (ZeroDivisionError(), 500)):

        def fail(*_all: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("products.admin.ProductAdmin.get_queryset", fail)
        assert reader.get("products_product_changelist").status_code == status


def test_control_english_is_detected() -> None:
    assert english_in("Order 주문 CSV order-completed:1:2") == ("Order",)
    page = """<p title="Two">셋<span class="material-symbols-outlined">inbox</span><input type="submit" value="Save">
    <textarea>typed</textarea><script>var x</script><div class="form-row hidden">Opened</div></p>"""
    assert [word for text in texts_of(page) for word in english_in(text)] == ["Two", "Save"]
