"""Keeps a form that arrives after its session has expired, so that it can be sent again after the login.

The form is kept in the page, signed, and not on the server. It has no effect until it is sent again. Passwords and
files are not kept.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from commerce.staff_access import refusal_pages
from commerce.staff_access.login_form import StaffLoginForm

FIELD = "kept_form"
MOST_CHARACTERS = 200_000
"""Characters of the signed form, so that a login form that contains it fits in `DATA_UPLOAD_MAX_MEMORY_SIZE`."""
# Not the name of this module: forms that an earlier version has signed are still accepted.
_SALT = "commerce.staff_access.kept_forms"
_NEVER_KEPT = re.compile("password|^code$")
_NOT_SHOWN = re.compile("^_|^(form_key|opened|confirmed|action|index|select_across)$|-|^$")
_DATE_OR_TIME = re.compile("_[01]$")

_LABELS = {
    "amount_won": gettext_noop("amount (won)"),
    "delta": gettext_noop("units to add"),
    "direction": gettext_noop("what to do"),
    "is_active": gettext_noop("active"),
    "is_staff": gettext_noop("staff status"),
    "is_superuser": gettext_noop("superuser status"),
    "max_discount": gettext_noop("most it takes off (won)"),
    "min_order_amount": gettext_noop("least order amount (won)"),
    "price": gettext_noop("price (won)"),
    "total_quantity": gettext_noop("units"),
}
"""Labels of the fields whose name is not their label."""
_CHOICES = {
    ("direction", "credit"): gettext_noop("Credit: the customer gets"),
    ("direction", "debit"): gettext_noop("Debit: the customer pays"),
    ("discount_type", "FIXED"): gettext_noop("Fixed amount"),
    ("discount_type", "PERCENT"): gettext_noop("Percent"),
    ("is_active", "on"): gettext_noop("yes"),
    ("is_staff", "on"): gettext_noop("yes"),
    ("is_superuser", "on"): gettext_noop("yes"),
}
"""Labels of values, by field and value."""


@dataclass(frozen=True)
class KeptForm:
    """The target of a form and its fields in order. A field may have several values."""

    path: str
    fields: list[tuple[str, list[str]]]

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Pairs of name and value."""
        return ((name, value) for name, values in self.fields for value in values)

    @property
    def shown(self) -> Iterator[tuple[str, str]]:
        """The values that a person entered or chose, with labels; without fields that only programs read."""
        for name, value in self.pairs:
            field = _DATE_OR_TIME.sub("", name)
            label = _LABELS.get(field) or field.replace("_", " ")
            if value and not _NOT_SHOWN.search(name):
                chosen = _CHOICES.get((field, value))
                yield capfirst(_(label)), _(chosen) if chosen else value


def kept(request: HttpRequest) -> str:
    """The form of this request, signed; empty if it cannot be sent again."""
    if request.FILES or any(_NEVER_KEPT.search(name) for name in request.POST):
        return ""
    fields = [(name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"]
    signed = signing.dumps([request.get_full_path(), fields], salt=_SALT, compress=True)
    return signed if len(signed) <= MOST_CHARACTERS else ""


def login_page(request: HttpRequest) -> HttpResponse:
    """The login page as the response to a form. It contains the form."""
    signed = kept(request)
    if not signed:
        messages.warning(request, _("Your session has ended. Your form was not processed."))
    return _login_page(request, signed, f"{reverse('admin:login')}?{urlencode({'next': request.get_full_path()})}")


def login(
    page: Callable[..., HttpResponseBase], request: HttpRequest, extra_context: dict[str, Any] | None = None
) -> HttpResponseBase:
    """Like `page`, which is `AdminSite.login`, but shows a form that the login page contained after the login."""
    signed = request.POST.get(FIELD, "")
    answer = page(request, {**(extra_context or {}), FIELD: signed})
    if isinstance(answer, HttpResponseRedirect) and (form := _read(signed)):
        return _question(request, form, status=HTTPStatus.OK)
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """`CSRF_FAILURE_VIEW`. A login in another tab invalidates the CSRF tokens of open forms.

    Only a form from a page of this site can be sent again: a form of another site would be a forgery.
    """
    if request.headers.get("Origin") != f"{request.scheme}://{request.get_host()}":
        return _out_of_date(request)
    is_staff = request.user.is_active and request.user.is_staff
    if request.path == reverse("admin:login"):
        signed = request.POST.get(FIELD, "")
        if not is_staff:
            messages.warning(request, _("The page was open for too long. Log in again."))
            return _login_page(request, signed, request.get_full_path())
    else:
        signed = kept(request)
        if not is_staff:
            return login_page(request)
    form = _read(signed)
    return _question(request, form, status=HTTPStatus.FORBIDDEN) if form else _out_of_date(request)


def _read(signed: str) -> KeptForm | None:
    """The form; None if there is none, or if its signature is invalid or expired."""
    try:
        path, fields = signing.loads(signed, salt=_SALT, max_age=settings.SESSION_COOKIE_AGE)
    except signing.BadSignature:
        return None
    return KeptForm(path, fields)


def _login_page(request: HttpRequest, signed: str, address: str) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": _("Log in"),
        "form": StaffLoginForm(request),
        "app_path": address,
        FIELD: signed,
    }
    return _not_cached(TemplateResponse(request, "admin/login.html", context, status=HTTPStatus.FORBIDDEN))


def _question(request: HttpRequest, form: KeptForm, *, status: int) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": _("Send the form again"), "kept": form}
    return _not_cached(TemplateResponse(request, "admin/send_again.html", context, status=status))


def _not_cached(answer: HttpResponse) -> HttpResponse:
    add_never_cache_headers(answer)
    return answer


def _out_of_date(request: HttpRequest) -> HttpResponse:
    return refusal_pages.page(
        request,
        HTTPStatus.FORBIDDEN,
        title=_("The page is out of date"),
        sentence=_("Nothing was done. Go back, reload the page, and send its form again."),
    )
