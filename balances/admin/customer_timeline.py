"""Timeline entries and totals on a customer's page: ledger entries, staff actions and logins."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from balances.admin.ledger import COLOURS
from balances.models import EntryType, LedgerEntry, User
from balances.selectors import with_reasons
from commerce.audit.record import actions_on
from commerce.staff_pages.audit_display import changes_of
from commerce.staff_pages.display import won, won_moved
from commerce.staff_pages.timeline import Mark, May, TimelineEntry, TimelineSource, add_timeline_source


def _wallet(user_id: int, before: datetime | None, most: int, _may: May) -> Iterator[TimelineEntry]:
    """Ledger entries except payments, which the timeline shows as orders."""
    entries = LedgerEntry.objects.filter(user_id=user_id).exclude(type=EntryType.PAYMENT)
    if before is not None:
        entries = entries.filter(created_at__lt=before)
    for entry in with_reasons(entries.order_by("-id"))[:most]:
        reason = getattr(entry, "reason", None)
        said = [_("balance after: %(balance)s") % {"balance": won(entry.balance_after)}]
        if entry.order_id is not None:
            said.append(_("order %(order)s") % {"order": f"#{entry.order_id}"})
        if reason:
            said.append(f"{reason} ({getattr(entry, 'adjusted_by', '')})")
        yield TimelineEntry(
            entry.created_at,
            "undo" if entry.type == EntryType.REFUND else "account_balance_wallet",
            f"{entry.get_type_display()} {won_moved(entry.amount)}",
            " · ".join(said),
            reverse("admin:balances_ledgerentry_change", args=[entry.pk]),
            [Mark(entry.get_type_display(), COLOURS[entry.type])],
        )


def _actions(user_id: int, before: datetime | None, most: int, may: May) -> Iterator[TimelineEntry]:
    actions = actions_on(User._meta.label_lower, user_id)
    if before is not None:
        actions = actions.filter(acted_at__lt=before)
    for action in actions[:most]:
        changes = [f"{name}: {was} → {became}" for name, was, became in changes_of(action)]
        yield TimelineEntry(
            action.acted_at,
            "login" if action.actor_id == user_id else "badge",
            _("%(action)s by %(actor)s") % {"action": action.in_words, "actor": action.actor.get_username()},
            " · ".join([*changes, *([action.reason] if action.reason else [])]),
            reverse("admin:audit_staffaction_change", args=[action.pk]) if may("audit.view_staffaction") else "",
        )


add_timeline_source("wallet", TimelineSource("balances.view_ledgerentry", _wallet))
add_timeline_source("actions", TimelineSource("", _actions))
