"""Display of audit records (`commerce.audit`) in the user's language: field names and values."""

from typing import Any
from urllib.parse import unquote_plus

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, Model
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from commerce.audit.models import StaffAction
from commerce.audit.record import actions_on
from commerce.staff_pages.display import thousands, won
from commerce.staff_pages.rights import right_in_words

NOTHING = "–"

# Fields of any table in won, and other recorded values in won.
_MONEY = frozenset(
    (
        "balance",
        "price",
        "total_amount",
        "discount_amount",
        "paid_amount",
        "min_order_amount",
        "max_discount",
        "refunded",
    )
)
# Numbers shown without thousands separators.
_NAMES = frozenset(("id", "product_id", "ledger entry"))

# Recorded values that are not fields: exported rows, the ledger entry of an adjustment, the address of a login.
WORDS = (
    gettext_noop("rows"),
    gettext_noop("filter"),
    gettext_noop("format"),
    gettext_noop("ledger entry"),
    gettext_noop("refunded"),
    gettext_noop("units"),
    gettext_noop("restock"),
    gettext_noop("address"),
    gettext_noop("events"),
    gettext_noop("codes left"),
)


def changes_of(action: StaffAction) -> list[tuple[str, str, str]]:
    """The changes: (field label, value before, value after), with a dash for None.

    Fields without either value are left out.
    """
    changes = []
    for name, before, after in action.changes:
        field = _field(action.subject_type, name)
        was, became = _shown(name, field, before), _shown(name, field, after)
        if (was, became) != (NOTHING, NOTHING):
            changes.append((str(capfirst(getattr(field, "verbose_name", "") or _(name))), was, became))
    return changes


def newest_change(row: Model) -> str:
    """One sentence about the latest change of a row by staff: who, when and what; empty if there is none."""
    action = actions_on(row._meta.label_lower, row.pk).first()
    if action is None:
        return ""
    changed = ", ".join(f"{name}: {before} → {after}" for name, before, after in changes_of(action))
    sentence = _("The last change: %(action)s by %(actor)s at %(at)s.") % {
        "action": action.in_words,
        "actor": action.actor.get_username(),
        "at": f"{timezone.localtime(action.acted_at):%Y-%m-%d %H:%M:%S}",
    }
    return f"{sentence} {changed}".strip()


def _field(subject_type: str, name: str) -> Any:
    """The model's field of this name, or None."""
    try:
        return apps.get_model(subject_type)._meta.get_field(name)
    except (LookupError, FieldDoesNotExist):
        return None


def _shown(name: str, field: Any, value: object) -> str:
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int):
        return won(value) if name in _MONEY else str(value) if name in _NAMES else thousands(value)
    if isinstance(value, list):
        return ", ".join(right_in_words(str(each)) for each in value)
    return _text(field, unquote_plus(str(value)) if name == "filter" else str(value))


def _text(field: Any, text: str) -> str:
    """A time in the shop's time zone, the label of a choice, or the text itself."""
    if isinstance(field, DateTimeField) and (moment := parse_datetime(text)):
        return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
    return str(dict(getattr(field, "flatchoices", ())).get(text, text))
