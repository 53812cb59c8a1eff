"""The table with the results of the invariant checks."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class InvariantCheck(models.Model):
    """One run of `manage.py check_invariants` and its result."""

    checked_at = models.DateTimeField(_("checked at"), help_text=_("When the check began: the moment it speaks of."))
    duration_ms = models.PositiveIntegerField(_("duration (ms)"))
    holds = models.BooleanField(_("holds"))
    asked_count = models.PositiveIntegerField(_("rules asked"))
    violations = models.JSONField(
        _("violations"), default=list, help_text=_("What does not hold: each with its count and the first cases.")
    )
    skipped = models.JSONField(_("not asked"), default=list, help_text=_("Rules that could not be asked."))
    is_deep = models.BooleanField(_("deep"), help_text=_("The whole ledger was hashed anew."))
    is_quiet = models.BooleanField(_("of a quiet system"), help_text=_("Nothing was said to be under way."))

    class Meta:
        db_table = "invariant_check"
        verbose_name = _("check of the books")
        verbose_name_plural = _("checks of the books")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{timezone.localtime(self.checked_at):%Y-%m-%d %H:%M:%S}"
