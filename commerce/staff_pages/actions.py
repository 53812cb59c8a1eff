"""Actions on selected rows with a confirmation page that requires a reason."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise

from commerce.audit.record import Staff
from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.forms import ReasonForm
from commerce.staff_pages.pages import Page, staff_id


def numbers_in(text: str, *, most: int) -> list[int]:
    """Parse row ids from a query parameter such as `ids=1,2,3`. Raises SuspiciousOperation for forged input."""
    numbers = [whole_number(part) for part in text.split(",")]
    ids = [number for number in numbers if number is not None]
    if len(numbers) > most or len(ids) < len(numbers):
        raise SuspiciousOperation("These are not the numbers of rows.")
    return ids


def reason_or_question(
    page: Page,
    request: HttpRequest,
    *,
    action: str,
    row_ids: Sequence[int],
    title: str | Promise,
    sentences: Sequence[str | Promise],
) -> Staff | HttpResponse:
    """The member of staff with a reason once the form is confirmed; before that, the confirmation page.

    `action`: the name of the action, which the form posts to the same list with its filters; `sentences`: what will
    happen.
    """
    form = ReasonForm(request.POST if "reason" in request.POST else None)
    if form.is_valid():
        return Staff(staff_id(request), form.cleaned_data["reason"])
    context: dict[str, Any] = {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.opts,
        "form": form,
        "button": title,
        "sentences": sentences,
        "action": action,
        "row_ids": row_ids,
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/action_question.html", context)
