"""Ends back-office sessions after a number of hours, and earlier if they are idle. Cookie and row are Django's."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from commerce.staff_access import kept_forms

BEGAN_AT, SEEN_AT = "began_at", "seen_at"
NEEDS_NO_LOGIN = ("admin:login", "admin:logout", "set_language")
# The minimum interval between two updates of the session's row.
_NOTED_EVERY_SECONDS = 60


class SessionEnds(MiddlewareMixin):
    """Runs after the authentication: a request with an expired session is anonymous and redirected to the login."""

    def process_request(self, request: HttpRequest) -> Any:
        session = request.session
        if SESSION_KEY not in session:
            return
        now = int(time.time())
        began_at, seen_at = session.get(BEGAN_AT, now), session.get(SEEN_AT, now)
        if now - began_at >= settings.SESSION_COOKIE_AGE or now - seen_at >= settings.SESSION_IDLE_MINUTES * 60:
            logout(request)
        elif BEGAN_AT not in session or now - seen_at >= _NOTED_EVERY_SECONDS:
            session[BEGAN_AT], session[SEEN_AT] = began_at, now

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *arguments: Any) -> HttpResponse | None:
        """Keep a form whose session has expired in the login page."""
        name = request.resolver_match.view_name if request.resolver_match else ""
        is_form = request.method == "POST" and name and name not in NEEDS_NO_LOGIN
        if not is_form or (request.user.is_active and request.user.is_staff):
            return None
        return kept_forms.login_page(request)
