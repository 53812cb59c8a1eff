"""Django's middleware for pages with a login, kept away from the API.

Owns the split by path: sessions, CSRF, messages and languages cost an API request nothing.
"""

import math
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _
from rest_framework.exceptions import Throttled


class BackOfficeOnly(MiddlewareMixin):
    """Put before a middleware of Django's, skips it for every path outside the back-office."""

    def __call__(self, request: HttpRequest) -> Any:
        if not is_back_office(request):
            return self.get_response(request)
        return super().__call__(request)


def is_back_office(request: HttpRequest) -> bool:
    return request.path_info.startswith(settings.BACK_OFFICE_PATH)


class Sessions(BackOfficeOnly, SessionMiddleware):
    pass


class Locale(BackOfficeOnly, LocaleMiddleware):
    pass


class Common(BackOfficeOnly, CommonMiddleware):
    pass


class Authentication(BackOfficeOnly, AuthenticationMiddleware):
    pass


class Messages(BackOfficeOnly, MessageMiddleware):
    pass


class Frames(BackOfficeOnly, XFrameOptionsMiddleware):
    pass


class Csrf(BackOfficeOnly, CsrfViewMiddleware):
    """The API authenticates by a header that no browser sends by itself, so there is nothing to forge there."""

    def process_view(self, request: HttpRequest, *view: Any) -> Any:
        return super().process_view(request, *view) if is_back_office(request) else None


class Refusals(BackOfficeOnly):
    """Whoever must wait is told so in a page, where the API would send a problem document."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not (is_back_office(request) and isinstance(exception, Throttled)):
            return None
        wait_seconds = max(1, math.ceil(getattr(exception, "wait", None) or 1))
        shown = {
            **admin.site.each_context(request),
            # To a stranger it would say that there is nothing to see.
            "is_nav_sidebar_enabled": False,
            "title": _("Too many requests"),
            "wait_seconds": wait_seconds,
        }
        response = render(request, "admin/held_back.html", shown, status=429)
        response.headers["Retry-After"] = str(wait_seconds)
        return response
