"""The page that cancels one or several orders: consequences, reason, action, outcome."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid5

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from commerce.audit.record import Staff
from commerce.core.errors import DomainError
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.display import won
from commerce.staff_pages.forms import ReasonForm
from commerce.staff_pages.pages import Page, staff_id
from orders import selectors, services
from orders.admin.consequences import consequences_of
from orders.errors import OrderNotCancellable
from orders.models import Order, OrderStatus

MOST_AT_ONCE = 100
FILTERS = "_changelist_filters"
"""Django's query parameter with the filters of the list to return to."""


class CancelForm(IdempotentForm, ReasonForm):
    """The reason. Each order has its own idempotency key, so a form that is sent twice cancels each order once."""

    def cancel(self, order: Order, *, by: Staff, path: str) -> str:
        """Cancel one order and return the success message. Raises the errors of `services.cancel_order`."""
        form = copy.copy(self)
        form.cleaned_data = {**self.cleaned_data, "form_key": uuid5(self.cleaned_data["form_key"], str(order.pk))}
        self.is_repeat = False
        sentence = form.act_once(
            lambda idempotency: services.cancel_order(order_id=order.pk, owner_id=None, idempotency=idempotency, by=by),
            lambda cancelled: _sentence(cancelled, order.user.get_username()),
            staff_id=by.id,
            path=path,
        )
        self.is_repeat = form.is_repeat
        return form.message_of(sentence)


@dataclass
class Outcome:
    """The outcome of a form: success messages, won returned, refusals."""

    done: list[str] = field(default_factory=list)
    amount: int = 0
    repeats: int = 0
    """How many orders an earlier request of the same form had cancelled."""
    refused: list[str] = field(default_factory=list)


def ask_and_cancel(page: Page, request: HttpRequest, order_ids: Sequence[int], *, back: str) -> HttpResponse:
    """Show the form, or cancel on POST. `back`: the URL to return to. Raises Http404."""
    orders = selectors.orders_to_cancel(order_ids)
    if not orders:
        raise Http404
    form = CancelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _report(request, _cancelled(request, form, orders))
        return HttpResponseRedirect(back)
    if not any(order.is_cancellable for order in orders):
        for order in orders:
            messages.warning(request, _already(order))
        return HttpResponseRedirect(back)
    consequences = consequences_of(orders, now=timezone.now())
    context: dict[str, Any] = {
        **page.admin_site.each_context(request),
        "title": _("Cancel and refund"),
        "opts": page.opts,
        "original": orders[0] if len(orders) == 1 else None,
        "consequences": consequences,
        "summary": _summary(len(consequences.orders), consequences.amount),
        "form": form,
        "button": _("Cancel and refund"),
        "is_danger": True,
        "back": back,
    }
    return TemplateResponse(request, "admin/orders/order/cancel.html", context)


def _summary(count: int, amount: int) -> str:
    sentence = ngettext(
        "%(count)d order will be cancelled, and %(amount)s will be refunded. This cannot be undone.",
        "%(count)d orders will be cancelled, and %(amount)s will be refunded. This cannot be undone.",
        count,
    )
    return sentence % {"count": count, "amount": won(amount)}


def list_address(filters: str) -> str:
    """The URL of the list of orders with these filters."""
    address = reverse("admin:orders_order_changelist")
    return f"{address}?{filters}" if filters else address


def _cancelled(request: HttpRequest, form: CancelForm, orders: Sequence[Order]) -> Outcome:
    outcome = Outcome()
    by = Staff(staff_id(request), form.cleaned_data["reason"])
    for order in orders:
        try:
            outcome.done.append(form.cancel(order, by=by, path=request.path))
            outcome.amount += order.paid_amount
            outcome.repeats += form.is_repeat
        except OrderNotCancellable as refusal:
            outcome.refused.append(_why_not(refusal))
        except DomainError as refusal:
            outcome.refused.append(f"{order}: {refusal}")
    return outcome


def _report(request: HttpRequest, outcome: Outcome) -> None:
    if len(outcome.done) == 1:
        messages.success(request, outcome.done[0])
    elif outcome.done:
        count = len(outcome.done)
        sentence = ngettext(
            "%(count)d order is cancelled: %(amount)s refunded.",
            "%(count)d orders are cancelled: %(amount)s refunded.",
            count,
        )
        sentence %= {"count": count, "amount": won(outcome.amount)}
        if outcome.repeats == count:
            sentence = _("Already done, and not repeated. %(sentence)s") % {"sentence": sentence}
        messages.success(request, sentence)
    for refusal in outcome.refused:
        messages.error(request, refusal)


def _sentence(order: Order, customer: str) -> str:
    sentence = _("Order #%(number)d is cancelled: %(amount)s was refunded to %(customer)s.")
    return str(sentence % {"number": order.pk, "amount": won(order.paid_amount), "customer": customer})


def _already(order: Order) -> str:
    return _why_not(OrderNotCancellable(order.pk, order.status))


def _why_not(refusal: OrderNotCancellable) -> str:
    if refusal.status == OrderStatus.CANCELLED:
        sentence = _("Order #%(number)d was cancelled already.")
    elif refusal.status == OrderStatus.REFUNDED:
        sentence = _("Order #%(number)d is refunded already.")
    else:
        sentence = _("A part of order #%(number)d is refunded already. Refund the rest of it by its items.")
    return str(sentence % {"number": refusal.order_id})
