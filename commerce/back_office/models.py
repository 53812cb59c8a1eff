"""Which sessions of the back-office belong to whom.

Owns the table beside Django's sessions, which cannot be asked for those of one account.
"""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

MOST_LETTERS_OF_A_BROWSER = 200


class StaffSession(models.Model):
    """One login that may still hold. A row whose session is gone is deleted at the next login of its owner."""

    session_key = models.CharField(max_length=40, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    began_at = models.DateTimeField(_("began at"), db_default=Now())
    address = models.CharField(_("address"), max_length=64, blank=True)
    browser = models.CharField(_("browser"), max_length=MOST_LETTERS_OF_A_BROWSER, blank=True)

    class Meta:
        db_table = "staff_session"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.address} {self.began_at}"
