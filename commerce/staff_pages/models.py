"""Saved views of back-office lists."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

MOST_CHARACTERS_OF_A_NAME = 60
MOST_CHARACTERS_OF_A_QUERY = 2_000


class SavedView(models.Model):
    """A list with its owner's filters and ordering, under a name."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"), db_index=False
    )
    # Not a foreign key, as in `staff_action`: the apps of the lists are above this one.
    list_of = models.CharField(_("list"), max_length=60, help_text=_("Such as orders.order."))
    name = models.CharField(_("name"), max_length=MOST_CHARACTERS_OF_A_NAME)
    query = models.TextField(_("filter"), max_length=MOST_CHARACTERS_OF_A_QUERY)
    """The query string in canonical order (`saved_views.canonical`)."""
    saved_at = models.DateTimeField(_("saved at"), db_default=Now())

    class Meta:
        db_table = "saved_view"
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["owner", "list_of", "name"], name="saved_view_one_per_name"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(query=""), name="saved_view_says_something"),
        ]

    def __str__(self) -> str:
        return self.name
