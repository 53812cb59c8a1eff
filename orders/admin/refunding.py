"""The page that refunds items of an order: quantities, consequences, action."""

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from commerce.audit.record import Staff
from commerce.core.errors import DomainError
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.display import won
from commerce.staff_pages.forms import ReasonForm
from commerce.staff_pages.pages import Page, staff_id
from orders import selectors, services
from orders.admin.consequences import consequences_of_refund
from orders.errors import RefundExceedsOrder
from orders.models import Order, OrderItem, OrderStatus


class RefundForm(IdempotentForm, ReasonForm):
    """Items, quantities and reason. The first POST shows a confirmation; the second one, confirmed, does it."""

    restock = forms.BooleanField(
        label=_("back in stock"),
        help_text=_("Clear the checkbox for damaged goods: their units are not returned to the stock."),
        required=False,
        initial=True,
    )
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, items: Sequence[OrderItem], **kwargs: Any) -> None:
        """`items`: all items of the order, refunded ones too, because a form that has succeeded may be sent again."""
        self.items = items
        # Before `super().__init__`, which copies `base_fields` and styles the widgets.
        self.__dict__["base_fields"] = {**self.base_fields, **dict(_fields_of(items))}
        super().__init__(*args, **kwargs)

    def lines(self) -> Iterator[tuple[OrderItem, BoundField, BoundField]]:
        """Each item with its checkbox and its quantity field."""
        for item in self.items:
            yield item, self[_tick(item.product_id)], self[_units(item.product_id)]

    @property
    def quantities(self) -> dict[int, int]:
        """Quantity by product id, of the selected items."""
        return {
            item.product_id: self.cleaned_data[_units(item.product_id)]
            for item in self.items
            if self.cleaned_data[_tick(item.product_id)]
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        ticked = [item.product_id for item in self.items if cleaned.get(_tick(item.product_id))]
        for product_id in ticked:
            if cleaned.get(_units(product_id)) is None and _units(product_id) not in self.errors:
                self.add_error(_units(product_id), _("Enter the number of units."))
        if not ticked:
            self.add_error(None, _("Select at least one item."))
        return cleaned

    def question(self) -> "RefundForm":
        """The same form with hidden fields, for the confirmation step."""
        asked = RefundForm(items=self.items, initial={**self.cleaned_data, "confirmed": True})
        for field in asked.fields.values():
            field.widget = forms.HiddenInput()
        return asked

    def ask_again(self) -> None:
        """Show the input fields again; the next POST asks for confirmation again."""
        self.data = {**{name: self.data.get(name) for name in self.fields}, "confirmed": ""}

    def refuse(self, refusal: DomainError) -> None:
        """Attach the refusal to its item."""
        if isinstance(refusal, RefundExceedsOrder):
            for excess in refusal.excesses:
                sentence = _("%(count)s units can be refunded.") % {"count": f"{excess.refundable:,}"}
                self.add_error(_units(excess.product_id), sentence)
        else:
            super().refuse(refusal)


def ask_and_refund(page: Page, request: HttpRequest, order_id: int) -> HttpResponse:
    """Show the form or the confirmation, or refund on a confirmed POST. Raises Http404."""
    order = next(iter(selectors.orders_to_cancel([order_id])), None)
    if order is None:
        raise Http404
    back = reverse("admin:orders_order_change", args=[order_id])
    form = RefundForm(request.POST or None, items=list(order.items.all()))
    shown: dict[str, Any] = {"form": form, "button": _("Continue")}
    if "again" in request.POST:
        form.ask_again()
    elif request.method == "POST" and form.is_valid():
        if form.cleaned_data["confirmed"]:
            if _refunded(page, request, order, form):
                return HttpResponseRedirect(back)
        else:
            shown = _question(order, form) or shown
    if request.method == "POST" and form.errors:
        form.ask_again()
    if request.method != "POST" and order.status != OrderStatus.COMPLETED:
        messages.warning(request, _("Nothing is left of order #%(number)d to refund.") % {"number": order.pk})
        return HttpResponseRedirect(back)
    context: dict[str, Any] = {
        **page.admin_site.each_context(request),
        "title": _("Refund items"),
        "opts": page.opts,
        "original": order,
        "back": back,
        **shown,
    }
    return TemplateResponse(request, "admin/orders/order/refund.html", context)


def _question(order: Order, form: RefundForm) -> dict[str, Any]:
    """Context of the confirmation; empty if the refund would be refused, which the form then shows."""
    try:
        consequences = consequences_of_refund(
            order, form.quantities, restock=form.cleaned_data["restock"], now=timezone.now()
        )
    except DomainError as refusal:
        form.refuse(refusal)
        return {}
    return {
        "form": form.question(),
        "is_question": True,
        "consequences": consequences,
        "items": [
            (item, form.quantities[item.product_id]) for item in form.items if item.product_id in form.quantities
        ],
        "restock": form.cleaned_data["restock"],
        "reason": form.cleaned_data["reason"],
        "button": _("Yes, refund"),
        "is_danger": True,
    }


def _refunded(page: Page, request: HttpRequest, order: Order, form: RefundForm) -> bool:
    by = Staff(staff_id(request), form.cleaned_data["reason"])
    customer = order.user.get_username()
    sentence = form.try_once(
        lambda idempotency: services.refund_order(
            order_id=order.pk,
            quantities=form.quantities,
            restock=form.cleaned_data["restock"],
            by=by,
            idempotency=idempotency,
        ),
        lambda done: _sentence(done, customer),
        staff_id=by.id,
        path=request.path,
    )
    if sentence:
        page.message_user(request, sentence, messages.SUCCESS)
    return bool(sentence)


def _sentence(done: services.Refunded, customer: str) -> str:
    sentence = _("%(amount)s of order #%(number)d was refunded to %(customer)s.")
    return str(sentence % {"number": done.order.pk, "amount": won(done.refund.amount), "customer": customer})


def _fields_of(items: Sequence[OrderItem]) -> Iterator[tuple[str, forms.Field]]:
    only_one = sum(item.refundable > 0 for item in items) == 1
    for item in items:
        is_left = item.refundable > 0
        tick = forms.BooleanField(label=item.product_name, required=False, initial=only_one and is_left)
        # The bought quantity, not the refundable one: a form that has succeeded may be sent again.
        units = forms.IntegerField(
            label=_("units"),
            min_value=1,
            max_value=item.quantity,
            initial=item.refundable if is_left else None,
            required=False,
        )
        yield _tick(item.product_id), tick
        yield _units(item.product_id), units


def _tick(product_id: int) -> str:
    return f"line_{product_id}"


def _units(product_id: int) -> str:
    return f"units_{product_id}"
