"""The section "Needs attention" of the dashboard: sentences with links.

Computed from the data of the tiles, so without queries and only from what the user may view.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from commerce.outbox.routes import WEBHOOKS
from commerce.outbox.status import MOST_COUNTED
from coupons.selectors import sold_out_since

LATE = timedelta(minutes=5)
"""How long a delivery may wait before it is reported."""
MOST_COUPONS = 5


@dataclass(frozen=True)
class Need:
    """A problem to look at, with a link."""

    sentence: str
    address: str
    is_urgent: bool = False


def attention(tiles: Mapping[str, Any], now: datetime) -> list[Need]:
    """The problems at `now`, computed from `tiles`, most urgent first."""
    found = [
        *_books(tiles.get("books")),
        *_deliveries(tiles.get("deliveries"), now),
        *_webhooks(tiles.get("webhooks"), now),
        *_stock(tiles.get("stock")),
        *_coupons(tiles.get("coupons")),
    ]
    return sorted(found, key=lambda need: not need.is_urgent)


def sold_out_today(now: datetime) -> list[Any]:
    """Running coupons that were sold out today."""
    day = timezone.localdate(now)
    midnight = timezone.make_aware(datetime.combine(day, time.min))
    return sold_out_since(midnight, most=MOST_COUPONS)


def _books(books: Any) -> Iterator[Need]:
    verdict = books and books["verdict"]
    if not verdict:
        return
    page = reverse("admin:invariants_invariantcheck_change", args=[verdict.pk])
    if not verdict.holds:
        count = len(verdict.violations)
        sentence = ngettext("The books violate %(count)d rule.", "The books violate %(count)d rules.", count)
        yield Need(sentence % {"count": count}, page, is_urgent=True)
    elif books["is_old"]:
        yield Need(_("The books were last checked %(age)s ago.") % {"age": books["age"]}, page)


def _deliveries(deliveries: Any, now: datetime) -> Iterator[Need]:
    for row in deliveries["rows"] if deliveries else ():
        backlog = row.backlog
        if backlog.destination == WEBHOOKS:
            # An unavailable third party does not mean that deliveries are late: see `_webhooks`.
            continue
        if backlog.parked:
            sentence = ngettext(
                "%(count)s message to %(destination)s is parked.",
                "%(count)s messages to %(destination)s are parked.",
                backlog.parked,
            )
            said = {"count": _counted(backlog.parked), "destination": backlog.destination}
            yield Need(sentence % said, row.parked_address, is_urgent=True)
        if backlog.waiting and now - backlog.waiting_since > LATE:
            sentence = _("Deliveries to %(destination)s are late: the oldest has waited for %(age)s.")
            age = timesince(backlog.waiting_since, now=now, depth=1)
            yield Need(sentence % {"destination": backlog.destination, "age": age}, row.waiting_address, is_urgent=True)


def _webhooks(webhooks: Any, now: datetime) -> Iterator[Need]:
    for webhook in webhooks["in_trouble"] if webhooks else ():
        page = reverse("admin:outbox_webhooksubscription_change", args=[webhook.pk])
        if webhook.is_active and webhook.has_parked:
            yield Need(_("Events for the webhook “%(name)s” are parked.") % {"name": webhook.name}, page)
        elif webhook.is_active:
            sentence = _("The webhook “%(name)s” has failed for %(age)s.")
            age = timesince(webhook.failing_since, now=now, depth=1)
            yield Need(sentence % {"name": webhook.name, "age": age}, page)
        else:
            sentence = _("The webhook “%(name)s” was switched off: %(why)s.")
            yield Need(sentence % {"name": webhook.name, "why": webhook.get_ended_for_display()}, page, is_urgent=True)


def _stock(stock: Any) -> Iterator[Need]:
    out = stock["found"].out if stock else 0
    if out:
        sentence = ngettext("%(count)s product is out of stock.", "%(count)s products are out of stock.", out)
        yield Need(sentence % {"count": f"{out:,}"}, stock["out_address"])


def _coupons(coupons: Any) -> Iterator[Need]:
    for coupon in coupons["sold_out"] if coupons else ():
        sentence = _("The coupon “%(name)s” sold out today.") % {"name": coupon.name}
        yield Need(sentence, reverse("admin:coupons_coupon_change", args=[coupon.pk]))


def _counted(messages: int) -> str:
    return f"{messages:,}+" if messages >= MOST_COUNTED else f"{messages:,}"
