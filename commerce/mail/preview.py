"""Back-office previews of all e-mails in all languages, with sample data, for users who may view the outbox."""

from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from commerce.mail.emails import EmailContent, email_content, email_types, languages
from commerce.mail.samples import sample

RIGHT = "outbox.view_outboxmessage"
# The e-mail is shown in a frame, as in a mail program: no scripts, no external resources.
FRAMED = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"


def urls() -> list[URLPattern]:
    """The pages, below the back-office's own."""
    return [
        path("mail/", admin.site.admin_view(_with_right(previews_page)), name="mail_previews"),
        path(
            "mail/<str:event_type>/<str:language>/",
            admin.site.admin_view(_with_right(preview_page)),
            name="mail_preview",
        ),
        path(
            "mail/<str:event_type>/<str:language>/html/",
            admin.site.admin_view(_with_right(html_page)),
            name="mail_preview_html",
        ),
    ]


def _with_right(view: Any) -> Any:
    @wraps(view)
    def checked(request: HttpRequest, **names: str) -> HttpResponse:
        if not request.user.has_perm(RIGHT):
            raise PermissionDenied
        answer: HttpResponse = view(request, **names)
        return answer

    return checked


def previews_page(request: HttpRequest) -> HttpResponse:
    """The list of e-mails by event type and language."""
    previews = [
        {"type": event_type, "language": language, "subject": _content(event_type, language).subject}
        for event_type in email_types()
        for language in languages()
    ]
    return _page(
        request, "admin/mail/previews.html", title=_("E-mails"), previews=previews, back=reverse("admin:index")
    )


def preview_page(request: HttpRequest, event_type: str, language: str) -> HttpResponse:
    """One e-mail: its subject, and as HTML and text."""
    return _page(
        request,
        "admin/mail/preview.html",
        title=f"{event_type} ({language})",
        email=_content(event_type, language),
        html_url=reverse("admin:mail_preview_html", args=[event_type, language]),
        back=reverse("admin:mail_previews"),
    )


def html_page(request: HttpRequest, event_type: str, language: str) -> HttpResponse:
    """Only the HTML, for the frame of `preview_page`."""
    answer = HttpResponse(_content(event_type, language).html)
    answer.headers["Content-Security-Policy"] = FRAMED
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer


def _content(event_type: str, language: str) -> EmailContent:
    if event_type not in email_types() or language not in languages():
        raise Http404
    return email_content(sample(event_type), language=language)


def _page(request: HttpRequest, template: str, **shown: Any) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **shown})
