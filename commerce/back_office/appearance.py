"""The look and the menu of the back-office: the value of `settings.UNFOLD`."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _may(*rights: str) -> Callable[[HttpRequest], bool]:
    """A check whether the user has one of the permissions."""
    return lambda request: any(request.user.has_perm(right) for right in rights)


def _list(title: Any, icon: str, model: str) -> dict[str, Any]:
    """The URL of a model's list, such as `orders.order`."""
    app_label, _dot, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app_label}_{name}_changelist"),
        "permission": _may(f"{app_label}.view_{name}", f"{app_label}.change_{name}"),
    }


NAVIGATION: list[dict[str, Any]] = [
    {"items": [{"title": _("Dashboard"), "icon": "dashboard", "link": reverse_lazy("admin:index")}]},
    {
        "title": _("Sales"),
        "separator": True,
        "items": [
            _list(_("Orders"), "receipt_long", "orders.order"),
            {
                "title": _("Refunds"),
                "icon": "undo",
                "link": reverse_lazy("admin:orders_refund_changelist"),
                "permission": _may("orders.view_order"),
            },
            _list(_("Reservations"), "shopping_cart_checkout", "reservations.reservation"),
            _list(_("Users"), "group", "balances.user"),
            _list(_("Ledger"), "account_balance_wallet", "balances.ledgerentry"),
        ],
    },
    {
        "title": _("Catalogue"),
        "separator": True,
        "items": [
            _list(_("Products"), "inventory_2", "products.product"),
            _list(_("Stock movements"), "swap_vert", "products.stockmovement"),
            _list(_("Coupons"), "sell", "coupons.coupon"),
            _list(_("Issued coupons"), "confirmation_number", "coupons.usercoupon"),
            _list(_("Statistics"), "bar_chart", "stats.productstat"),
        ],
    },
    {
        "title": _("Operations"),
        "separator": True,
        "items": [
            _list(_("Outbox"), "outbox", "outbox.outboxmessage"),
            _list(_("Deliveries"), "local_shipping", "outbox.deliveryattempt"),
            _list(_("Webhooks"), "webhook", "outbox.webhooksubscription"),
            {
                "title": _("E-mails"),
                "icon": "mail",
                "link": reverse_lazy("admin:mail_previews"),
                "permission": _may("outbox.view_outboxmessage"),
            },
            _list(_("Dead letters"), "report", "stats.deadletter"),
            _list(_("Counted events"), "done_all", "stats.processedevent"),
            _list(_("Answered requests"), "key", "idempotency.idempotencykey"),
            _list(_("Checks of the books"), "fact_check", "invariants.invariantcheck"),
        ],
    },
    {
        "title": _("Staff"),
        "separator": True,
        "items": [
            _list(_("Roles"), "badge", "auth.group"),
            _list(_("Staff actions"), "history", "audit.staffaction"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Commerce back-office"),
    "SITE_HEADER": _("Commerce back-office"),
    # There is no page at `/`, so no link "View site".
    "SITE_URL": None,
    "SITE_SYMBOL": "storefront",
    # Without an icon in the page browsers request /favicon.ico, which does not exist.
    "SITE_FAVICONS": [{"rel": "icon", "href": "data:,", "type": "image/x-icon"}],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": True,
    "STYLES": [lambda _request: static("back_office/back_office.css")],
    "SCRIPTS": [
        lambda _request: static("back_office/accessibility.js"),
        lambda _request: static("back_office/search.js"),
        lambda _request: static("back_office/charts.js"),
    ],
    "DASHBOARD_CALLBACK": "commerce.back_office.dashboard.dashboard",
    "ACCOUNT": {
        "navigation": [
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
            {"title": _("Second factor"), "link": reverse_lazy("admin:second_factor")},
            {"title": _("Sessions"), "link": reverse_lazy("admin:sessions")},
        ]
    },
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {"show_search": True, "command_search": True, "show_all_applications": False, "navigation": NAVIGATION},
}
