"""The first page of the back-office, `UNFOLD["DASHBOARD_CALLBACK"]`: its tiles and their permissions.

The figures come from the apps' selectors and are queried for every view.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commerce.back_office import health
from commerce.back_office.addresses import address, split
from commerce.back_office.attention import attention, sold_out_today
from commerce.back_office.figures import MOST_DAYS, Period, days_before, periods, same_time_before
from commerce.invariants.findings import newest_verdict
from commerce.outbox.status import MOST_COUNTED, Backlog, backlogs
from commerce.webhooks.selectors import in_trouble
from coupons.selectors import open_coupons, used_counts
from orders.selectors import Sales, sales_by_day, sales_until
from products.rules import LOW_STOCK_UNITS
from products.selectors import scarce_stock
from stats.selectors import most_sold, popular_products, popular_since

CHART_DAYS = 30
TOP_PRODUCTS = 10
CHARACTERS_OF_A_NAME = 14
SCARCEST = 6
COUPONS_SHOWN = 5
MOST_WEBHOOKS = 5
VERDICT_IS_OLD = timedelta(hours=1)

TITLES = {1: gettext_lazy("Today"), 7: gettext_lazy("Last 7 days"), 30: gettext_lazy("Last 30 days")}
BEFORE = {
    1: gettext_lazy("yesterday by this time"),
    7: gettext_lazy("the 7 days before, by this time"),
    30: gettext_lazy("the 30 days before, by this time"),
}

Content = dict[str, Any]


@dataclass(frozen=True)
class Tile:
    """A part of the page, shown to users who may view one of these models."""

    models: tuple[str, ...]
    content: Callable[[datetime], Content]

    def is_for(self, request: HttpRequest) -> bool:
        rights = [f"{app}.{may}_{name}" for app, name in map(split, self.models) for may in ("view", "change")]
        return any(request.user.has_perm(right) for right in rights)


def dashboard(request: HttpRequest, context: Content) -> Content:
    """The context of the index page: `tiles` by name, only those that the user may view."""
    now = timezone.now()
    tiles = {name: tile.content(now) for name, tile in TILES.items() if tile.is_for(request)}
    return {
        **context,
        "title": _("Dashboard"),
        "tiles": tiles,
        "attention": attention(tiles, now),
        "shown_at": now,
    }


# --- Sales ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PeriodCard:
    """One of the three cards at the top."""

    title: str | Promise
    before: str | Promise
    period: Period
    address: str


def _sales(now: datetime) -> Content:
    today = timezone.localdate(now)
    daily = sales_by_day(today - timedelta(days=MOST_DAYS - 1), today)
    found = periods(today, daily, sales_until(same_time_before(now)))
    days = days_before(today, CHART_DAYS)
    won = [daily.get(day, Sales()).paid_won for day in days]
    return {
        "periods": [
            PeriodCard(TITLES[each.days], BEFORE[each.days], each, _orders_of(each.first, each.last)) for each in found
        ],
        "has_any": any(won),
        "chart": _chart([f"{day:%m-%d}" for day in days], _("Sales (₩)"), won, [_orders_of(day, day) for day in days]),
        "chart_rows": [
            {"name": f"{day:%Y-%m-%d}", "figure": f"₩{amount:,}", "address": _orders_of(day, day)}
            for day, amount in zip(reversed(days), reversed(won), strict=True)
            if amount
        ],
        "chart_options": _chart_options(values_on="y", names_on="x", maxTicksLimit=10),
        "address": _orders_of(days[0], today),
    }


def _orders_of(first: date, last: date) -> str:
    return address("orders.order", status__exact="COMPLETED", ordered_date_from=first, ordered_date_to=last)


def _sold(now: datetime) -> Content:
    today = timezone.localdate(now)
    most = most_sold(today - timedelta(days=CHART_DAYS - 1), today, most=TOP_PRODUCTS)
    names = [Truncator(name).chars(CHARACTERS_OF_A_NAME) for _id, name, _units in most]
    links = [address("orders.order", q=f"product:{product_id}") for product_id, _name, _units in most]
    return {
        "has_any": bool(most),
        "chart": _chart(names, _("Units"), [units for _id, _name, units in most], links),
        "chart_rows": [
            {"name": name, "figure": f"{units:,}", "address": link}
            for (_id, name, units), link in zip(most, links, strict=True)
        ],
        # Horizontal bars have room for product names beside them.
        "chart_options": _chart_options(values_on="x", names_on="y", autoSkip=False),
        "popular": popular_products(today),
        "popular_since": popular_since(today),
        "address": address("stats.productstat"),
    }


def _chart(labels: list[str], title: str, values: list[int], links: list[str]) -> str:
    """The data of the library's charts, with the URL that each bar links to (`charts.js`)."""
    bars = {"label": title, "data": values, "backgroundColor": "var(--color-primary-600)", "links": links}
    return json.dumps({"labels": labels, "datasets": [bars]})


def _chart_options(*, values_on: str, names_on: str, **names_ticks: object) -> str:
    """Replaces the library's options, which omit thousands separators and make bars too thin to click."""
    colour = {"color": "#9ca3af"}
    return json.dumps(
        {
            "indexAxis": names_on,
            "animation": False,
            "maintainAspectRatio": False,
            "maxBarThickness": 12,
            "plugins": {"legend": {"display": False}},
            "scales": {
                values_on: {"ticks": {**colour, "precision": 0, "maxTicksLimit": 6}, "beginAtZero": True, "grid": {}},
                names_on: {"ticks": {**colour, **names_ticks}, "grid": {"display": False}},
            },
        }
    )


# --- Stock and coupons-------------------------------------------------------------------------------------------------


def _stock(_now: datetime) -> Content:
    found = scarce_stock(most=SCARCEST)
    return {
        "found": found,
        "limit": LOW_STOCK_UNITS,
        "out_address": address("products.product", is_active__exact=1, level="out"),
        "low_address": address("products.product", is_active__exact=1, level="low"),
    }


@dataclass(frozen=True)
class CouponBar:
    """One open coupon with its numbers of used, unused and remaining ones."""

    id: int
    name: str
    total: int
    used: int
    issued: int
    ends_at: datetime

    @property
    def remaining(self) -> int:
        return self.total - self.issued

    @property
    def parts(self) -> list[Content]:
        """The items of the library's progress bar, in percent of the total quantity."""
        used = _share(self.used, self.total)
        return [
            {"title": _("used"), "value": used},
            {"title": _("issued"), "value": _share(self.issued, self.total) - used, "progress_class": "bo-held"},
        ]


def _coupons(now: datetime) -> Content:
    found = list(open_coupons(now).order_by("issue_ends_at", "id")[: COUPONS_SHOWN + 1])
    shown = found[:COUPONS_SHOWN]
    used = used_counts([coupon.pk for coupon in shown])
    bars = [
        CouponBar(
            id=coupon.pk,
            name=coupon.name,
            total=coupon.total_quantity,
            used=used.get(coupon.pk, 0),
            issued=coupon.issued_count,
            ends_at=coupon.issue_ends_at,
        )
        for coupon in shown
    ]
    return {
        "sold_out": sold_out_today(now),
        "bars": bars,
        "has_more": len(found) > len(shown),
        "address": address("coupons.coupon", state="OPEN"),
    }


def _share(part: int, whole: int) -> int:
    """In whole percent, rounded up, so that one of many is visible."""
    return -(-100 * part // whole) if whole else 0


# --- Deliveries, statistics, health -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DestinationRow:
    """The undelivered messages of one destination, with a link to their list."""

    backlog: Backlog
    waiting: str
    waiting_for: str
    waiting_address: str
    parked: str
    parked_for: str
    parked_address: str


def _deliveries(now: datetime) -> Content:
    rows = [
        DestinationRow(
            backlog=each,
            waiting=_counted(each.waiting),
            waiting_for=_age(each.waiting_since, now),
            waiting_address=address("outbox.outboxmessage", state="waiting", destination=each.destination),
            parked=_counted(each.parked),
            parked_for=_age(each.parked_since, now),
            parked_address=address("outbox.outboxmessage", state="parked", destination=each.destination),
        )
        for each in backlogs()
    ]
    return {"rows": rows, "address": address("outbox.outboxmessage")}


def _webhooks(now: datetime) -> Content:
    return {"in_trouble": in_trouble(now, most=MOST_WEBHOOKS)}


def _counted(messages: int) -> str:
    return f"{messages:,}+" if messages >= MOST_COUNTED else f"{messages:,}"


def _age(since: datetime | None, now: datetime) -> str:
    """The time since then, such as "3 minutes"; empty for None."""
    return timesince(since, now=now, depth=1) if since else ""


def _books(now: datetime) -> Content:
    verdict = newest_verdict()
    return {
        "verdict": verdict,
        "age": _age(verdict.checked_at, now) if verdict else "",
        "is_old": verdict is not None and now - verdict.checked_at > VERDICT_IS_OLD,
        "address": address("invariants.invariantcheck"),
    }


def _health(_now: datetime) -> Content:
    return {"parts": health.parts()}


TILES: dict[str, Tile] = {
    "sales": Tile(("orders.order",), _sales),
    "sold": Tile(("stats.productstat",), _sold),
    "stock": Tile(("products.product",), _stock),
    "coupons": Tile(("coupons.coupon",), _coupons),
    "deliveries": Tile(("outbox.outboxmessage",), _deliveries),
    "webhooks": Tile(("outbox.webhooksubscription",), _webhooks),
    "books": Tile(("invariants.invariantcheck",), _books),
    "health": Tile(("outbox.outboxmessage", "invariants.invariantcheck"), _health),
}
