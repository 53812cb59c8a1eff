"""Errors and refusals of the statistics."""

from datetime import date

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import Refused


class UnreadableEvent(Exception):
    """A message that is not an order event as the contract describes it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class TooMuchToRecount(Refused):
    """There are too many orders on these days to read them in one request, or orders are counted all the time."""

    code = "too_much_to_recount"
    title = _("Too much to recount")

    @property
    def detail(self) -> str | Promise:
        return _(
            "The recount did not end in time, and nothing was changed. Choose fewer days, or run"
            " `manage.py backfill_product_stats`, which may take longer."
        )


class DayIsFinal(Refused):
    """Orders of these days have been archived, so their statistics cannot be recomputed from orders any more."""

    code = "day_is_final"
    title = _("Day is final")

    def __init__(self, until: date) -> None:
        self.until = until
        super().__init__()

    @property
    def detail(self) -> str | Promise:
        return _("Orders up to %(day)s have been archived: choose later days.") % {"day": self.until.isoformat()}
