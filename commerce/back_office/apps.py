from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks
from django.utils.translation import gettext_lazy as _


class BackOfficeConfig(AppConfig):
    default = True
    name = "commerce.back_office"
    label = "back_office"
    verbose_name = _("Back-office")


class AdminConfig(SimpleAdminConfig):
    """Django's admin with the site of the theme.

    `commerce.urls` registers its pages, so that a process that serves none does not import them: otherwise they take
    more than half of the start of a command.
    """

    default_site = "unfold.sites.UnfoldAdminSite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_pages, checks.Tags.admin)


def _check_pages(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """Django's check of all pages. Django runs its checks in any order, so the pages may not be registered yet."""
    admin.autodiscover()
    found: list[checks.CheckMessage] = check_admin_app(app_configs, **options)
    return found
