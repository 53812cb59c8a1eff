"""The table of staff actions: who did what to which row, the values before and after, and the reason.

The back-office decides who may read it.
"""

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class StaffAction(models.Model):
    """One action of a staff member, written in the same transaction as its effect.

    Append-only: a trigger in the database refuses UPDATE and DELETE.
    """

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="staff_actions",
        verbose_name=_("staff member"),
        db_index=False,
    )
    action = models.CharField(_("action"), max_length=100, help_text=_("In English; pages translate it."))
    subject_type = models.CharField(_("kind of row"), max_length=60, help_text=_("Such as orders.order."))
    subject_id = models.CharField(_("number of the row"), max_length=40, blank=True)
    before = models.JSONField(_("before"), default=dict, blank=True)
    after = models.JSONField(_("after"), default=dict, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    acted_at = models.DateTimeField(_("at"), db_default=Now())

    class Meta:
        db_table = "staff_action"
        verbose_name = _("staff action")
        verbose_name_plural = _("staff actions")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "-id"], name="staff_action_subject"),
            models.Index(fields=["actor", "-id"], name="staff_action_actor"),
            models.Index(fields=["acted_at"], name="staff_action_time"),
            models.Index(fields=["action", "-id"], name="staff_action_kind"),
        ]

    def __str__(self) -> str:
        model = apps.get_model(self.subject_type)
        row = f"{model._meta.verbose_name} {self.subject_id}" if self.subject_id else model._meta.verbose_name_plural
        return f"{self.in_words}: {row}"

    @property
    def in_words(self) -> str:
        """The action in the language of the request."""
        return gettext(self.action)

    @property
    def changes(self) -> list[tuple[str, object, object]]:
        """The changes: name, value before, value after. None for a value that did not or does not exist."""
        names = dict.fromkeys([*self.before, *self.after])
        return [(name, self.before.get(name), self.after.get(name)) for name in names]
