"""The five roles of staff and their permissions.

Migration `back_office.0001` creates a group for each role. A change here needs another migration for existing shops,
because their superusers may have edited the groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Permissions whose codename does not end with their model.
_MODEL_OF = {"adjust_balance": "user", "adjust_stock": "product"}


@dataclass(frozen=True)
class Role:
    """A group of staff; `rights`: permissions such as `orders.view_order`."""

    name: str
    meaning: Promise
    rights: frozenset[str]


def _rights(app_label: str, *codenames: str) -> frozenset[str]:
    return frozenset(f"{app_label}.{codename}" for codename in codenames)


_SEE_THE_SHOP = (
    _rights("orders", "view_order", "view_orderitem")
    | _rights("products", "view_product", "view_stockmovement")
    | _rights("coupons", "view_coupon", "view_usercoupon")
    | _rights("reservations", "view_reservation")
    | _rights("stats", "view_productstat")
    | _rights("balances", "view_user", "view_ledgerentry")
    | _rights("notes", "view_note")
)
_SEE_DELIVERIES = _rights("outbox", "view_outboxmessage", "view_deliveryattempt", "view_webhooksubscription")
_WRITE_NOTES = _rights("notes", "add_note")
_SEE_STAFF = _rights("audit", "view_staffaction")

VIEWER = Role("Viewer", _("Views the shop; no changes and no exports."), _SEE_THE_SHOP)
SUPPORT = Role(
    "Support",
    _("Views the shop and its deliveries; cancels and refunds orders."),
    _SEE_THE_SHOP | _WRITE_NOTES | _SEE_DELIVERIES | _rights("orders", "cancel_order"),
)
MERCHANDISER = Role(
    "Merchandiser",
    _("Manages products, stock and coupons; views orders and statistics."),
    _rights("products", "view_product", "add_product", "change_product", "adjust_stock", "import_product")
    | _rights("products", "export_product", "view_stockmovement", "export_stockmovement")
    | _rights("coupons", "view_coupon", "add_coupon", "change_coupon", "export_coupon")
    | _rights("coupons", "view_usercoupon", "export_usercoupon")
    | _rights("stats", "view_productstat", "export_productstat")
    | _rights("orders", "view_order", "view_orderitem")
    | _rights("reservations", "view_reservation"),
)
FINANCE = Role(
    "Finance",
    _("Views the shop and staff actions; adjusts balances, refunds orders, exports lists."),
    _SEE_THE_SHOP
    | _WRITE_NOTES
    | _SEE_STAFF
    | _rights("balances", "adjust_balance", "export_user", "export_ledgerentry")
    | _rights("orders", "cancel_order", "export_order")
    | _rights("stats", "export_productstat"),
)
OPERATOR = Role(
    "Operator",
    _("Views the shop and its servers; sends messages again, replays dead letters, rebuilds statistics."),
    _SEE_THE_SHOP
    | _WRITE_NOTES
    | _SEE_STAFF
    | _SEE_DELIVERIES
    | _rights("outbox", "resend_outboxmessage", "add_webhooksubscription", "change_webhooksubscription")
    | _rights("stats", "view_deadletter", "view_processedevent", "replay_deadletter", "rebuild_productstat")
    | _rights("idempotency", "view_idempotencykey")
    | _rights("invariants", "view_invariantcheck"),
)

ROLES = (VIEWER, SUPPORT, MERCHANDISER, FINANCE, OPERATOR)
MEANINGS = {role.name: role.meaning for role in ROLES}


def make_groups(apps: Any) -> None:
    """Create a group for each role that has none; `apps`: the registry of a migration, or Django's own.

    Missing permissions are created: Django creates them only after all migrations, and keeps existing ones.
    """
    group_model = apps.get_model("auth", "Group")
    for role in ROLES:
        group, is_new = group_model.objects.get_or_create(name=role.name)
        if is_new:
            group.permissions.set(_permissions(apps, role.rights))


def _permissions(apps: Any, rights: frozenset[str]) -> Iterator[Any]:
    for right in sorted(rights):
        app_label, _dot, codename = right.partition(".")
        model = _MODEL_OF.get(codename) or codename.partition("_")[2]
        content_type, _is_new = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
            app_label=app_label, model=model
        )
        permission, _is_new = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": _title(apps, app_label, model, codename)}
        )
        yield permission


def _title(apps: Any, app_label: str, model: str, codename: str) -> str:
    """The permission's name as Django would build it."""
    plain = f"Can {codename.replace('_', ' ')}"
    try:
        options = apps.get_model(app_label, model)._meta
    except LookupError:
        return plain
    verb, _underscore, last = codename.partition("_")
    named = {codename: f"Can {verb} {options.verbose_name_raw}"} if last == model else {}
    return str({**named, **dict(options.permissions)}.get(codename, plain))
