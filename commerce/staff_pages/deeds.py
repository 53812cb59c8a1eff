"""What staff did, in the words of those who read it.

Owns the names and the looks of what was before and after; `commerce.audit` has the rows.
"""

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from commerce.audit.models import StaffAction
from commerce.audit.record import actions_on
from commerce.staff_pages.display import won

# Fields of any table that hold won.
_MONEY = frozenset(
    ("balance", "price", "total_amount", "discount_amount", "paid_amount", "min_order_amount", "max_discount")
)

# What services tell besides fields: so many rows exported, the entry of an adjustment.
WORDS = (gettext_noop("rows"), gettext_noop("filter"), gettext_noop("format"), gettext_noop("ledger entry"))


def changes_of(action: StaffAction) -> list[tuple[str, str, str]]:
    """What changed: the field as its page names it, the value before and the value after; a dash for none."""
    return [
        (_field_name(action.subject_type, name), _shown(name, before), _shown(name, after))
        for name, before, after in action.changes
    ]


def newest_change(row: Model) -> str:
    """The newest deed of staff on a row in one sentence: who, when, what changed; empty where there is none."""
    action = actions_on(row._meta.label_lower, row.pk).first()
    if action is None:
        return ""
    changed = ", ".join(f"{name}: {before} → {after}" for name, before, after in changes_of(action))
    sentence = _("The last change: %(action)s by %(actor)s at %(at)s.") % {
        "action": action.told,
        "actor": action.actor.get_username(),
        "at": f"{timezone.localtime(action.acted_at):%Y-%m-%d %H:%M:%S}",
    }
    return f"{sentence} {changed}".strip()


def _field_name(subject_type: str, name: str) -> str:
    try:
        field = apps.get_model(subject_type)._meta.get_field(name)
    except (LookupError, FieldDoesNotExist):
        return str(capfirst(_(name)))
    return str(capfirst(getattr(field, "verbose_name", name)))


def _shown(name: str, value: object) -> str:
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name in _MONEY and isinstance(value, int):
        return won(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
