"""Writing down what a member of staff does, in the transaction that does it.

Owns the one INSERT. An action without its record, or a record without its action, cannot be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from commerce.audit.models import StaffAction
from commerce.core.transaction import NewRows, Transaction


@dataclass(frozen=True)
class Staff:
    """A member of staff who acts: the number of the account, and the reason given."""

    id: int
    reason: str = ""


class StaffActions(NewRows):
    """What staff do in a transaction that other writes share."""

    INSERT = """
        INSERT INTO staff_action (actor_id, action, subject_type, subject_id, before, after, reason)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            actor_id bigint, action text, subject_type text, subject_id text, before jsonb, after jsonb, reason text
        )
    """


def record(
    by: Staff,
    action: str,
    subject: models.Model | type[models.Model],
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> StaffAction:
    """Write down that `by` did `action` (English, marked with `gettext_noop`) to `subject`, a row or a whole table.

    Of `before` and `after` only what differs is kept. Must be called inside the transaction of the action; raises
    TransactionManagementError outside of any.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("A staff action is recorded in the transaction of its effect.")
    subject_id = "" if isinstance(subject, type) else subject.pk
    return StaffAction.objects.create(**_columns(by, action, subject, subject_id, before or {}, after or {}))


def add_record(
    shared: Transaction,
    by: Staff,
    action: str,
    model: type[models.Model],
    subject_id: int,
    *,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    """`record`, in a transaction that other writes share."""
    shared[StaffActions].add(_columns(by, action, model, subject_id, before, after))


def _columns(  # noqa: PLR0917  # what `record` is given
    by: Staff,
    action: str,
    subject: models.Model | type[models.Model],
    subject_id: object,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> dict[str, Any]:
    was, became = _as_stored(before), _as_stored(after)
    same = {name for name in was if name in became and was[name] == became[name]}
    return {
        "actor_id": by.id,
        "action": action,
        "subject_type": subject._meta.label_lower,
        "subject_id": str(subject_id),
        "before": {name: value for name, value in was.items() if name not in same},
        "after": {name: value for name, value in became.items() if name not in same},
        "reason": by.reason,
    }


def actions_on(subject_type: str, subject_id: object) -> "models.QuerySet[StaffAction]":
    """What staff did to one row, the newest first. `subject_type` is such as `orders.order`."""
    found = StaffAction.objects.filter(subject_type=subject_type, subject_id=str(subject_id))
    return found.select_related("actor").order_by("-id")


def _as_stored(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    """As JSON can keep it."""
    if isinstance(value, datetime) and timezone.is_aware(value):
        # The same moment has one text, in whatever zone it came.
        return timezone.localtime(value).isoformat()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return str(value)
