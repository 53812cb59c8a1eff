"""A second factor for staff who want one: a code that an app on their phone shows, asked for at every login.

Owns its pages (set up, take off, take off for somebody who lost the phone, recovery codes);
`commerce.staff_access.login_form` asks for the code, and the API asks for it before it gives tokens.
"""

import time
from base64 import b32encode
from typing import Any

import segno
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice, default_key

from commerce.api.throttling import login_attempt
from commerce.audit.record import Staff, record
from commerce.core.whole_numbers import whole_number
from commerce.staff_access import recovery_codes
from commerce.staff_access.login_form import CodeField, require_code
from commerce.staff_pages.forms import ReasonForm, StaffForm
from commerce.staff_pages.pages import staff_id

SET_UP = gettext_noop("Second factor set up")
CODES_MADE = gettext_noop("Recovery codes made")
TAKEN_OFF = gettext_noop("Second factor taken off")
# Kept there until its owner has shown that the app knows it; only then there is a second factor.
NEW_KEY = "second_factor_key"


class CodeForm(StaffForm):
    """The code that the app shows."""

    code = CodeField()


def urls() -> list[URLPattern]:
    """The pages, below the back-office's own."""
    own, others = admin.site.admin_view(own_page), admin.site.admin_view(others_page)
    return [
        path("second-factor/", own, name="second_factor"),
        path("second-factor/recovery-codes/", admin.site.admin_view(codes_page), name="recovery_codes"),
        path("second-factor/<int:user_id>/take-off/", others, name="second_factor_take_off"),
    ]


def own_page(request: HttpRequest) -> HttpResponse:
    """Sets up one's own second factor, or takes it off; either needs a code of it."""
    has_one = TOTPDevice.objects.filter(user_id=staff_id(request)).exists()
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            if not has_one:
                return _codes(request, _set_up(request, form.cleaned_data["code"]))
            sentence = _take_off_own(request, form.cleaned_data["code"])
        except ValidationError as error:
            form.add_error("code", error)
        else:
            messages.success(request, sentence)
            return HttpResponseRedirect(reverse("admin:index"))
    shown: dict[str, Any] = {"title": _("Second factor"), "form": form, "has_one": has_one, "is_danger": has_one}
    if has_one:
        shown |= {"button": _("Take it off"), "codes_left": recovery_codes.left(request.user)}
    else:
        device = _new_device(request)
        drawn = segno.make(device.config_url, error="m").svg_inline(scale=5, light="#fff")
        # Drawn by the library out of numbers; nothing of the address is written into it.
        shown["drawing"] = mark_safe(drawn)  # noqa: S308
        shown |= {"button": _("Set it up"), "secret": b32encode(device.bin_key).decode(), "uri": device.config_url}
    return _page(request, "admin/second_factor.html", shown, back=reverse("admin:index"))


def codes_page(request: HttpRequest) -> HttpResponse:
    """Makes new recovery codes in place of those of before; needs a code of the app, or one of them."""
    back = reverse("admin:second_factor")
    if not TOTPDevice.objects.filter(user_id=staff_id(request)).exists():
        return HttpResponseRedirect(back)
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with login_attempt(request, request.user.get_username()):
                require_code(request.user, form.cleaned_data["code"])
        except ValidationError as error:
            form.add_error("code", error)
        else:
            with transaction.atomic():
                owner = get_user_model()(pk=staff_id(request))
                codes = recovery_codes.renew(owner)
                record(Staff(owner.pk), CODES_MADE, owner)
            return _codes(request, codes)
    shown = {"title": _("New recovery codes"), "form": form, "button": _("Make new codes")}
    return _page(request, "admin/staff_form.html", shown, back=back)


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The one page that has them; no browser keeps it."""
    page = _page(
        request,
        "admin/recovery_codes.html",
        {"title": _("Recovery codes"), "codes": codes},
        back=reverse("admin:index"),
    )
    add_never_cache_headers(page)
    return page


def others_page(request: HttpRequest, user_id: int) -> HttpResponse:
    """Takes the second factor off somebody who can no longer show it, so that a password is enough again."""
    # One's own needs its code, or a browser left open would be enough to be rid of it.
    if not request.user.is_superuser or user_id == staff_id(request):
        raise PermissionDenied
    owner = get_object_or_404(get_user_model(), pk=user_id)
    back = reverse("admin:balances_user_change", args=[user_id])
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if _take_off(Staff(staff_id(request), form.cleaned_data["reason"]), owner):
            messages.success(request, _("A password is enough for %(user)s again.") % {"user": owner})
        return HttpResponseRedirect(back)
    shown = {"title": _("Take off the second factor of %(user)s") % {"user": owner}, "form": form}
    return _page(request, "admin/staff_form.html", {**shown, "button": _("Take it off"), "is_danger": True}, back=back)


def _page(request: HttpRequest, template: str, shown: dict[str, Any], *, back: str) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "back": back, **shown})


def _new_device(request: HttpRequest) -> TOTPDevice:
    key = request.session.get(NEW_KEY) or default_key()
    request.session[NEW_KEY] = key
    return TOTPDevice(user=request.user, name="app", key=key)


def _set_up(request: HttpRequest, code: str) -> list[str]:
    """The recovery codes that come with it; none for the second of two at once."""
    device = _new_device(request)
    asked = TOTP(device.bin_key, device.step, device.t0, device.digits)
    asked.time = time.time()
    number = whole_number(code, most=10**device.digits - 1)
    if number is None or not asked.verify(number, device.tolerance):
        raise ValidationError(_("This is not the code that the app shows now."), code="wrong_code")
    # The code is used up: it cannot be used for another login.
    device.last_t = asked.t()
    codes: list[str] = []
    with transaction.atomic():
        owner = get_user_model().objects.select_for_update(no_key=True).get(pk=staff_id(request))
        if not TOTPDevice.objects.filter(user=owner).exists():
            device.save()
            codes = recovery_codes.renew(owner)
            record(Staff(owner.pk), SET_UP, owner)
    del request.session[NEW_KEY]
    return codes


def _take_off_own(request: HttpRequest, code: str) -> str:
    with login_attempt(request, request.user.get_username()):
        require_code(request.user, code)
    _take_off(Staff(staff_id(request)), request.user)
    return str(_("From now on your password is enough."))


def _take_off(by: Staff, owner: Any) -> bool:
    with transaction.atomic():
        taken_off, _each = TOTPDevice.objects.filter(user=owner).delete()
        if taken_off:
            recovery_codes.forget(owner)
            record(by, TAKEN_OFF, owner)
    return bool(taken_off)
