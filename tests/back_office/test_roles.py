"""Permissions: every role at every page and action of the back-office, as a table."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.urls import URLResolver, reverse

from balances.models import User
from commerce.back_office.roles import ROLES, VIEWER, Role, make_groups
from commerce.idempotency.commit import Idempotency
from commerce.invariants.models import InvariantCheck
from coupons.models import Coupon
from orders.models import Order
from products.models import Product
from reservations.services import reserve
from tests.back_office.staff import Staff
from tests.factories import StaffFactory, UserFactory
from tests.operations.busy_shop import busy_shop
from tests.webhooks.conftest import subscribe

pytestmark = pytest.mark.django_db(transaction=True)

# V Viewer, S Support, M Merchandiser, F Finance, O Operator, B superuser. `None`: there is no such page.
LISTS = {
    #                             sees       adds  changes exports
    "orders.order":             ("VSMFOB",   "",   "",     "FB"),
    "orders.refund":            ("VSMFOB",   "",   "",     "FB"),
    "reservations.reservation": ("VSMFOB",   "",   "",     None),
    "balances.user":            ("VSFOB",    "B",  "B",    "FB"),
    "balances.ledgerentry":     ("VSFOB",    "",   "",     "FB"),
    "products.product":         ("VSMFOB",   "MB", "MB",   "MB"),
    "products.stockmovement":   ("VSMFOB",   "",   "",     "MB"),
    "coupons.coupon":           ("VSMFOB",   "MB", "MB",   "MB"),
    "coupons.usercoupon":       ("VSMFOB",   "",   "",     "MB"),
    "stats.productstat":        ("VSMFOB",   "",   "",     "MFB"),
    "stats.processedevent":     ("OB",       "",   "",     None),
    "stats.deadletter":         ("OB",       "",   "",     None),
    "outbox.outboxmessage":     ("SOB",      "",   "",     None),
    "outbox.deliveryattempt":   ("SOB",      "",   "",     None),
    "outbox.webhooksubscription": ("SOB",    "OB", "OB",   None),
    "idempotency.idempotencykey": ("OB",     "",   "",     None),
    "invariants.invariantcheck": ("OB",      "",   "",     None),
    "audit.staffaction":        ("FOB",      "",   "",     None),
    "auth.group":               ("B",        "B",  "B",    None),
}  # fmt: skip
ACTION_PAGES = {
    "orders_order_cancel":             "SFB",
    "orders_order_cancel_many":        "SFB",
    "orders_order_refund":             "SFB",
    "orders_order_of_refund":          "VSMFOB",
    "orders_order_receipt":            "VSMFOB",
    "orders_order_packing_slip":       "VSMFOB",
    "products_product_adjust_stock":   "MB",
    "products_product_edit":           "MB",
    "products_product_imports":        "MB",
    "products_product_import":         "MB",
    "products_product_import_empty":   "MB",
    "products_product_import_preview": "MB",
    "coupons_coupon_stop":             "MB",
    "stats_productstat_rebuild":       "OB",
    "balances_user_adjust":            "FB",
    "auth_user_password_change":       "B",
    "second_factor_take_off":          "B",
    "outbox_webhooksubscription_rotate": "OB",
    "outbox_webhooksubscription_remove": "OB",
    "outbox_webhooksubscription_send_parked": "OB",
    "mail_previews":                   "SOB",
    "mail_preview":                    "SOB",
    "mail_preview_html":               "SOB",
}  # fmt: skip
TICKED = {
    ("orders_order_changelist", "cancel_and_refund"): "SFB",
    ("products_product_changelist", "edit_offers"): "MB",
    ("outbox_outboxmessage_changelist", "send_again"): "OB",
    ("stats_deadletter_changelist", "replay"): "OB",
}
FOR_EVERYBODY_AT_WORK = {
    "index",
    "password_change",
    "password_change_done",
    "second_factor",
    "search",
    "jsi18n",
    "sessions",
}
WITHOUT_A_TABLE = {
    "recovery_codes": "for those who have set up a second factor, and is tested with it",
    "session_end": "ends one's own, and is tested with the sessions",
    "note_write": "asks for the right to see what the note is about, and is tested with the notes",
    "note_change": "the same",
    "view_save": "asks for the right to see the list, and is tested with the views",
    "view_delete": "deletes one's own, and is tested with the views",
    "login": "for those who are not in yet",
    "logout": "for all, and tested with the sessions",
    "autocomplete": "asks the right to see the list it completes from",
    "app_list": "shows what its lists show",
    "view_on_site": "leads nowhere: nothing of the shop has a page of its own",
}
LETTERS = {role.name[0]: role for role in ROLES}


@pytest.fixture(autouse=True)
def groups() -> None:
    """Create the groups: the rows written by migrations are deleted after each test."""
    make_groups(apps)


@pytest.fixture
def shop() -> dict[str, tuple[Any, ...]]:
    """A row for each page that requires one, by the page's name."""
    busy = busy_shop()
    InvariantCheck.objects.create(
        checked_at=busy.last.created_at, duration_ms=1, holds=True, asked_count=1, is_deep=False, is_quiet=False
    )
    staff = StaffFactory()
    webhook = subscribe("https://partner.example/webhooks").pk
    reserve(user_id=busy.mina.pk, quantities={busy.pen.pk: 1}, idempotency=Idempotency.none())
    customer, order, product, coupon = (
        busy.mina.pk,
        Order.objects.latest("pk").pk,
        Product.objects.first(),
        Coupon.objects.first(),
    )
    assert product is not None
    assert coupon is not None
    return {
        "orders_order_cancel": (order,),
        "orders_order_refund": (order,),
        "orders_order_of_refund": (busy.refunded.refunds.latest("pk").pk,),
        "orders_order_receipt": (order,),
        "orders_order_packing_slip": (order,),
        "products_product_adjust_stock": (product.pk,),
        "products_product_import_empty": ("csv",),
        "products_product_import_preview": (1,),
        "coupons_coupon_stop": (coupon.pk,),
        "balances_user_adjust": (customer,),
        "auth_user_password_change": (customer,),
        "second_factor_take_off": (staff.pk,),
        "outbox_webhooksubscription_rotate": (webhook,),
        "outbox_webhooksubscription_remove": (webhook,),
        "outbox_webhooksubscription_send_parked": (webhook,),
        "mail_preview": ("order-completed", "en"),
        "mail_preview_html": ("order-completed", "ko"),
    }


def at_work(letter: str) -> Staff:
    """A member of staff with this role and no other permissions."""
    if letter == "B":
        return Staff(superuser=True)
    staff = Staff()
    if letter in LETTERS:
        staff.user.groups.add(Group.objects.get(name=LETTERS[letter].name))
    return staff


def is_open(response: Any) -> bool:
    """Whether access is allowed: any status but 403, also an error because of an empty form or a missing row."""
    assert response.status_code in (200, 302, 400, 403, 404), response
    return bool(response.status_code != 403)


def opened(staff: Staff, shop: dict[str, tuple[Any, ...]]) -> dict[str, bool]:
    """Whether each page of the table is accessible for this user; `POST`: whether it accepts a form."""
    found: dict[str, bool] = {}
    for label, (_sees, _adds, _changes, takes) in LISTS.items():
        page = label.replace(".", "_")
        own = {"pk": staff.user.pk} if label == "balances.user" else {"pk__isnull": True}
        row = apps.get_model(label)._default_manager.exclude(**own).order_by("pk").first()
        assert row is not None, label
        found[label] = is_open(staff.get(f"{page}_changelist"))
        found[f"{label} change"] = is_open(staff.get(f"{page}_change", row.pk))
        found[f"{label} history"] = is_open(staff.get(f"{page}_history", row.pk))
        found[f"{label} add"] = is_open(staff.get(f"{page}_add"))
        found[f"{label} add POST"] = is_open(staff.post(f"{page}_add", nothing=""))
        found[f"{label} change POST"] = is_open(staff.post(f"{page}_change", row.pk, nothing=""))
        found[f"{label} delete POST"] = is_open(staff.post(f"{page}_delete", row.pk, post="yes"))
        if takes is not None:
            for kind in ("csv", "xlsx"):
                found[f"{label} {kind}"] = is_open(staff.get(f"{page}_export", kind))
    for page in ACTION_PAGES:
        found[page] = is_open(staff.get(page, *shop.get(page, ())))
        found[f"{page} POST"] = is_open(staff.post(page, *shop.get(page, ()), nothing=""))
    for page, action in TICKED:
        found[f"{page} {action}"] = action in offered(staff, page)
    return found


def offered(staff: Staff, page: str) -> list[str]:
    """The actions for selected rows that a list offers."""
    form = (getattr(staff.get(page), "context_data", None) or {}).get("action_form")
    return [] if form is None else [value for value, _label in form.fields["action"].choices if value]


def expected(letter: str) -> dict[str, bool]:
    """The expected access according to the table."""
    found: dict[str, bool] = {}
    for label, (sees, adds, changes, takes) in LISTS.items():
        found |= dict.fromkeys((label, f"{label} change", f"{label} history"), letter in sees)
        found |= dict.fromkeys((f"{label} add", f"{label} add POST"), letter in adds)
        found[f"{label} change POST"] = letter in changes
        found[f"{label} delete POST"] = False
        if takes is not None:
            found |= {f"{label} {kind}": letter in takes for kind in ("csv", "xlsx")}
    for page, letters in ACTION_PAGES.items():
        found |= {page: letter in letters, f"{page} POST": letter in letters}
    return found | {f"{page} {action}": letter in letters for (page, action), letters in TICKED.items()}


@pytest.mark.parametrize("letter", ["V", "S", "M", "F", "O", "B", "-"])
def test_each_role_has_exactly_the_access_of_the_table(letter: str, shop: dict[str, tuple[Any, ...]]) -> None:
    """`-`: a member of staff without a role."""
    staff = at_work(letter)
    wrong = {page: was for page, was in opened(staff, shop).items() if was is not expected(letter)[page]}
    assert wrong == {}
    for page in FOR_EVERYBODY_AT_WORK:
        assert staff.get(page).status_code == 200, page


def test_without_its_permissions_a_role_has_no_access(shop: dict[str, tuple[Any, ...]]) -> None:
    """The control: access depends on the permissions of the group."""
    clerk = at_work("O")
    Group.objects.get(name="Operator").permissions.clear()
    assert [page for page, was in opened(clerk, shop).items() if was] == []


def test_customers_have_no_access_in_any_group(shop: dict[str, tuple[Any, ...]]) -> None:
    customer, client = UserFactory(), Client()
    customer.groups.set(Group.objects.all())
    client.force_login(customer)
    for label in LISTS:
        assert client.get(reverse(f"admin:{label.replace('.', '_')}_changelist")).status_code == 302


def pages(patterns: Any) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from pages(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name


def test_the_table_names_every_page() -> None:
    of_lists = {
        f"{label.replace('.', '_')}_{kind}"
        for label, (_sees, _adds, _changes, takes) in LISTS.items()
        for kind in ("changelist", "change", "add", "delete", "history", *(["export"] if takes is not None else []))
    }
    assert set(pages(admin.site.urls[0])) == of_lists | {*ACTION_PAGES} | FOR_EVERYBODY_AT_WORK | {*WITHOUT_A_TABLE}


def test_the_table_names_every_action() -> None:
    boss = at_work("B")
    busy_shop()
    of_lists = {
        (page, action)
        for page in (f"{label.replace('.', '_')}_changelist" for label in LISTS)
        for action in offered(boss, page)
    }
    assert of_lists == set(TICKED)


class TestTheGroups:
    """The groups are created by the migration from the table of roles."""

    def rights(self, role: Role) -> set[str]:
        found = Permission.objects.filter(group__name=role.name).select_related("content_type")
        return {f"{permission.content_type.app_label}.{permission.codename}" for permission in found}

    def migrate(self, name: str | None) -> None:
        executor = MigrationExecutor(connection)
        executor.migrate([("back_office", name)])

    def migrate_all(self) -> None:
        """Run the later migrations as well, which depend on the roles."""
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

    @pytest.fixture
    def before(self) -> Iterator[None]:
        """The state before the migration; afterwards the migration is recorded as applied again."""
        self.migrate(None)
        Group.objects.all().delete()
        yield
        self.migrate_all()

    @pytest.mark.usefixtures("before")
    def test_are_created_in_a_database_without_permissions(self) -> None:
        Permission.objects.all().delete()
        ContentType.objects.all().delete()
        self.migrate("0001_roles")
        assert {role.name: self.rights(role) for role in ROLES} == {role.name: set(role.rights) for role in ROLES}
        named = Permission.objects.get(codename="view_ledgerentry")
        assert named.name == "Can view ledger entry"
        before = Permission.objects.count()
        ContentType.objects.clear_cache()
        for app in apps.get_app_configs():
            create_permissions(app, verbosity=0)
        assert Permission.objects.count() > before
        assert {role.name: self.rights(role) for role in ROLES} == {role.name: set(role.rights) for role in ROLES}

    @pytest.mark.usefixtures("before")
    def test_are_created_with_djangos_permissions(self) -> None:
        before = Permission.objects.count()
        self.migrate("0001_roles")
        assert Permission.objects.count() == before
        assert {role.name: self.rights(role) for role in ROLES} == {role.name: set(role.rights) for role in ROLES}

    @pytest.mark.usefixtures("before")
    def test_existing_ones_keep_their_permissions(self) -> None:
        Group.objects.create(name="Finance")
        self.migrate("0001_roles")
        assert Group.objects.get(name="Finance").permissions.count() == 0
        assert Group.objects.count() == 5

    def test_reverting_the_migration_keeps_them(self) -> None:
        clerk = StaffFactory()
        clerk.groups.set(Group.objects.all())
        self.migrate(None)
        assert {group.name for group in clerk.groups.all()} == {role.name for role in ROLES}
        self.migrate_all()
        assert self.rights(VIEWER) == set(VIEWER.rights)

    def test_existing_ones_get_the_permissions_for_notes(self) -> None:
        note_rights = Permission.objects.filter(content_type__app_label="notes")
        for group in Group.objects.all():
            group.permissions.remove(*note_rights)
        MigrationExecutor(connection).migrate([("notes", "0002_notes_are_not_rewritten")])
        assert not {right for role in ROLES for right in self.rights(role) if right.startswith("notes.")}
        self.migrate_all()
        assert {role.name: self.rights(role) for role in ROLES} == {role.name: set(role.rights) for role in ROLES}

    def test_have_existing_permissions(self) -> None:
        """A misspelt permission would have no effect."""
        known = {f"{app}.{code}" for app, code in Permission.objects.values_list("content_type__app_label", "codename")}
        Permission.objects.all().delete()
        for app in apps.get_app_configs():
            create_permissions(app, verbosity=0)
        made = {f"{app}.{code}" for app, code in Permission.objects.values_list("content_type__app_label", "codename")}
        assert set().union(*(role.rights for role in ROLES)) - made == set()
        assert known - made == set()


class TestGivingRights:
    """Granting permissions requires a superuser."""

    ALL = ("auth.add_group", "auth.change_group", "auth.view_group", "auth.delete_group")

    def test_only_superusers_may_change_groups(self) -> None:
        clerk = Staff(*self.ALL)
        viewer = Group.objects.get(name="Viewer")
        clerk.user.groups.add(viewer)
        assert clerk.get("auth_group_change", viewer.pk).status_code == 200
        everything = [str(pk) for pk in Permission.objects.values_list("pk", flat=True)]
        answer = clerk.post("auth_group_change", viewer.pk, name="Viewer", permissions=everything)
        assert answer.status_code == 403
        assert clerk.post("auth_group_add", name="Mine", permissions=everything).status_code == 403
        assert set(viewer.permissions.values_list("codename", flat=True)) == {
            right.partition(".")[2] for right in VIEWER.rights
        }

    def test_a_superuser_may_assign_a_role(self) -> None:
        boss, clerk = at_work("B"), StaffFactory(username="jimin")
        support = Group.objects.get(name="Support")
        form = {"username": "jimin", "is_active": "on", "is_staff": "on", "groups": [support.pk]}
        assert boss.press("balances_user_change", clerk.pk, **form).status_code == 302
        assert [group.name for group in clerk.groups.all()] == ["Support"]
        assert User.objects.get(pk=clerk.pk).has_perm("orders.cancel_order")

    def test_the_list_describes_roles_and_counts_members(self) -> None:
        StaffFactory().groups.add(Group.objects.get(name="Support"))
        page = at_work("B").get("auth_group_changelist").content.decode()
        assert "Views the shop and its deliveries; cancels and refunds orders." in page
