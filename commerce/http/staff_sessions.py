"""How long somebody stays logged in at the back-office: so many hours, and less where nothing is done.

Owns the two ends of a session; the cookie and its row are Django's.
"""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from commerce.http import kept_forms

BEGAN_AT, SEEN_AT = "began_at", "seen_at"
NEEDS_NO_LOGIN = ("admin:login", "admin:logout", "set_language")
# The row is written so often at most, however busy its owner is.
_NOTED_EVERY_SECONDS = 60


class SessionEnds(MiddlewareMixin):
    """Put behind the authentication: whose session is over is nobody from here on, and is sent to the login page."""

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
        """A form whose session is over is not lost with it: the login page carries it along."""
        name = request.resolver_match.view_name if request.resolver_match else ""
        is_form = request.method == "POST" and name and name not in NEEDS_NO_LOGIN
        if not is_form or (request.user.is_active and request.user.is_staff):
            return None
        return kept_forms.login_page(request)
