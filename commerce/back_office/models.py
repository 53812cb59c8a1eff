"""The sessions of each account. Django's session table cannot be queried by account."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

MOST_CHARACTERS_OF_A_BROWSER = 200


class StaffSession(models.Model):
    """One login. A row whose session has ended is deleted at the owner's next login."""

    session_key = models.CharField(max_length=40, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    began_at = models.DateTimeField(_("began at"), db_default=Now())
    address = models.CharField(_("address"), max_length=64, blank=True)
    browser = models.CharField(_("browser"), max_length=MOST_CHARACTERS_OF_A_BROWSER, blank=True)

    class Meta:
        db_table = "staff_session"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.address} {self.began_at}"
