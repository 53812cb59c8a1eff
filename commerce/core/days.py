"""The range of days and times that the shop accepts and stores.

The range goes from 1970-01-01 to 2199-12-31 in the shop's time zone, both inclusive. Within it every zone has an offset
of whole minutes, and a time fits in 64 bits of nanoseconds since 1970, the format that receivers of events use.
"""

from datetime import UTC, date, datetime

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

FIRST_DAY = date(1970, 1, 1)
LAST_DAY = date(2199, 12, 31)

# One day wider at both ends than the validators, because a constraint has no time zone.
_STORED_FROM = datetime(1969, 12, 31, tzinfo=UTC)
_STORED_BEFORE = datetime(2200, 1, 2, tzinfo=UTC)


def validate_day(day: date) -> None:
    """Raise ValidationError for a day outside the range."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValidationError(
            _("A day from %(first)s to %(last)s is needed."),
            code="out_of_range",
            params={"first": FIRST_DAY.isoformat(), "last": LAST_DAY.isoformat()},
        )


def validate_moment(moment: datetime) -> None:
    """Raise ValidationError for a moment whose day in the shop's time zone is outside the range."""
    validate_day(timezone.localdate(moment))


def stored(first: str, last: str) -> Q:
    """The condition for a database constraint that `first` and `last`, fields of which `last` is not before `first`,
    are within the range.
    """
    return Q(**{f"{first}__gte": _STORED_FROM}) & Q(**{f"{last}__lt": _STORED_BEFORE})
