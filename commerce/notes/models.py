"""Notes of staff about an order or a customer."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

MOST_CHARACTERS = 2_000


class Note(models.Model):
    """A text about one row. Its text, author and time never change, and it is never deleted (a trigger).

    `pinned` notes come first. A hidden note is shown to superusers only, with the time when it was hidden.
    """

    # Not foreign keys, as in `staff_action`: the apps of these rows are above this one.
    subject_type = models.CharField(_("kind of row"), max_length=60, help_text=_("Such as orders.order."))
    subject_id = models.BigIntegerField(_("number of the row"))
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("author"), db_index=False
    )
    text = models.TextField(_("note"), max_length=MOST_CHARACTERS)
    written_at = models.DateTimeField(_("written at"), db_default=Now())
    pinned = models.BooleanField(_("pinned"), default=False)
    hidden_at = models.DateTimeField(_("hidden at"), null=True, blank=True)

    class Meta:
        db_table = "note"
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        default_permissions = ("view", "add")
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="note_says_something"),
            models.CheckConstraint(
                condition=Q(hidden_at__isnull=True) | Q(pinned=False), name="note_hidden_not_pinned"
            ),
        ]
        indexes = [models.Index(fields=["subject_type", "subject_id", "-id"], name="note_subject")]

    def __str__(self) -> str:
        return f"{self.subject_type} {self.subject_id}: {self.pk}"
