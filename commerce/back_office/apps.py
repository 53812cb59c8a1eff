from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BackOfficeConfig(AppConfig):
    name = "commerce.back_office"
    label = "back_office"
    verbose_name = _("Back-office")

    def ready(self) -> None:
        # Imported here, because it needs the models of all apps.
        from commerce.back_office import sessions

        sessions.connect()
