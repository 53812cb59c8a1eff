"""Records the actions of staff in the transaction that performs them.

Neither an action without its record nor a record without its action can be committed.
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
    """The staff member who acts: the id of the account, and the given reason."""

    id: int
    reason: str = ""


class StaffActions(NewRows):
    """Staff actions in a transaction that several writes share."""

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
    """Record that `by` did `action` (English, marked with `gettext_noop`) to `subject`, a row or a whole table.

    Only the differences between `before` and `after` are stored. Must be called inside the transaction of the action.
    Raises TransactionManagementError outside of a transaction.
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
    """Like `record`, in a transaction that several writes share."""
    shared[StaffActions].add(_columns(by, action, model, subject_id, before, after))


def _columns(  # noqa: PLR0917  # the arguments of `record`
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
    """The actions of staff on one row, newest first. `subject_type` is for example `orders.order`."""
    found = StaffAction.objects.filter(subject_type=subject_type, subject_id=str(subject_id))
    return found.select_related("actor").order_by("-id")


def _as_stored(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    """The value as JSON can store it."""
    if isinstance(value, datetime) and timezone.is_aware(value):
        # Times are converted to one time zone, so that equal times have equal text.
        return timezone.localtime(value).isoformat()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return str(value)
