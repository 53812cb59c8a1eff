"""The list of orders, the page of one order, and the links to cancel and refund."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from commerce.notes.panel import panel as notes_panel
from commerce.staff_pages.actions import numbers_in
from commerce.staff_pages.display import won
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.filters import asks_for_days
from commerce.staff_pages.pages import LongList, ReadOnly
from orders import selectors
from orders.admin import cancelling, filters, refunding, searching
from orders.admin.colours import COLOURS
from orders.admin.printing import PrintPages
from orders.admin.timeline import sendable, timeline_of
from orders.models import Order, OrderStatus


def _on_one_line(text: str) -> str:
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def _coupon_name(order: Order) -> str:
    return order.user_coupon.coupon.name if order.user_coupon else ""


class OrderList(LongList):
    """The list, ordered so that one index provides the whole ordering."""

    def get_ordering(self, request: HttpRequest, queryset: "QuerySet[Order]") -> list[Any]:
        """Sort orders of the same amount by id in the same direction, because an index is scanned in one direction."""
        first, *rest = super().get_ordering(request, queryset)
        return [first, "pk"] if first == "paid_amount" and set(rest) == {"-pk"} else [first, *rest]


@admin.register(Order)
class OrderAdmin(PrintPages, Exported, ReadOnly):
    """Orders."""

    list_display = (
        *("number", "ordered_at", "customer", "state", "bought"),
        *("total", "discount", "paid", "coupon"),
    )
    list_display_links = ("number",)
    # Each of these has an index; sorting by anything else would read millions of orders.
    sortable_by = ("number", "ordered_at", "paid")
    search_fields = ("pk",)
    search_help_text = _("Number, customer, email or product")
    actions = ("cancel_and_refund",)
    most_selected = cancelling.MOST_AT_ONCE
    export_columns = (
        Column(_("order"), lambda order: order.pk),
        Column(_("when"), lambda order: order.created_at),
        Column(_("status"), lambda order: order.get_status_display()),
        Column(_("customer's number"), lambda order: order.user_id),
        Column(_("customer"), lambda order: order.user.get_username()),
        Column(_("email"), lambda order: order.user.email),
        Column(_("items"), lambda order: "; ".join(map(str, order.items.all()))),
        Column(_("units"), lambda order: sum(item.quantity for item in order.items.all())),
        Column(_("total (won)"), lambda order: order.total_amount),
        Column(_("discount (won)"), lambda order: order.discount_amount),
        Column(_("paid (won)"), lambda order: order.paid_amount),
        Column(_("coupon used"), _coupon_name),
        Column(_("cancelled at"), lambda order: order.cancelled_at),
        Column(_("refunded (won)"), lambda order: order.amount_back),
        Column(_("units refunded"), lambda order: order.units_back),
    )

    @admin.display(description=_("order"), ordering="pk")
    def number(self, order: Order) -> str:
        return str(order)

    @admin.display(description=_("when"), ordering=filters.DAY)
    def ordered_at(self, order: Order) -> str:
        return _on_one_line(f"{timezone.localtime(order.created_at):%Y-%m-%d %H:%M}")

    @admin.display(description=_("customer"))
    def customer(self, order: Order) -> str:
        page = reverse("admin:balances_user_change", args=[order.user_id])
        return format_html('<a class="text-link" href="{}">{}</a>', page, order.user.get_username())

    @admin.display(description=_("customer"))
    def customer_name(self, order: Order) -> str:
        return order.user.get_username()

    @display(description=_("status"), label=COLOURS)
    def state(self, order: Order) -> tuple[str, str]:
        return order.status, order.get_status_display()

    @admin.display(description=_("items"))
    def bought(self, order: Order) -> str:
        items = order.items.all()
        if len(items) < 2:
            return "".join(map(str, items))
        return str(_("%(first)s and %(count)d more") % {"first": items[0], "count": len(items) - 1})

    @admin.display(description=_("total"))
    def total(self, order: Order) -> str:
        return won(order.total_amount)

    @admin.display(description=_("discount"))
    def discount(self, order: Order) -> str:
        return _on_one_line(won(-order.discount_amount)) if order.discount_amount else ""

    @admin.display(description=_("paid"), ordering="paid_amount")
    def paid(self, order: Order) -> str:
        return won(order.paid_amount)

    @admin.display(description=_("coupon"))
    def coupon(self, order: Order) -> str:
        return _coupon_name(order)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without links to pages that the user may not view."""
        columns = super().get_list_display(request)
        if request.user.has_perm("balances.view_user"):
            return columns
        return tuple("customer_name" if column == "customer" else column for column in columns)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OrderList]:
        return OrderList

    def get_list_filter(self, request: HttpRequest) -> Any:
        return [each for each, right in filters.ALL if not right or request.user.has_perm(right)]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first. With a filter by day, order by day first, as the index does: a scan back from the newest order
        would be slow for old days."""
        return (f"-{filters.DAY}", "-pk") if asks_for_days(request, filters.DAY) else ("-pk",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Order]":
        return selectors.for_staff(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Order]", search_term: str
    ) -> "tuple[QuerySet[Order], bool]":
        if not search_term.strip():
            return queryset, False
        found = searching.found(queryset, search_term)
        if found.remark:
            self.message_user(request, found.remark, messages.WARNING)
        return found.orders, False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list. A search for an order's number opens that order."""
        number = searching.order_number(request.GET.get("q", "")) if [*request.GET] == ["q"] else None
        if number is not None and self.has_view_permission(request) and Order.objects.filter(pk=number).exists():
            return HttpResponseRedirect(reverse("admin:orders_order_change", args=[number]))
        return super().changelist_view(request, extra_context)

    def shown_beside(self, request: HttpRequest, row: Order) -> dict[str, Any]:
        """Context of the page of one order, which has no form."""
        return {
            "order": row,
            "colour": COLOURS.get(row.status, ""),
            "timeline": timeline_of(row, request.user.has_perm),
            "may_cancel": row.is_cancellable and self.has_cancel_permission(request),
            "may_refund": row.status == OrderStatus.COMPLETED and self.has_cancel_permission(request),
            "to_send_again": sendable(row, request.user.has_perm),
            **notes_panel(request, self.opts.label_lower, row.pk),
        }

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("orders.cancel_order"))

    def get_urls(self) -> list[URLPattern]:
        staff_only = self.admin_site.admin_view
        return [
            path("<int:order_id>/cancel/", staff_only(self.cancel_one), name="orders_order_cancel"),
            path("cancel/", staff_only(self.cancel_many), name="orders_order_cancel_many"),
            path("<int:order_id>/refund/", staff_only(self.refund), name="orders_order_refund"),
            path("of-refund/<int:refund_id>/", staff_only(self.of_refund), name="orders_order_of_refund"),
            *super().get_urls(),
        ]

    def cancel_one(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Confirm, then cancel one order.

        Raises PermissionDenied, SuspiciousOperation, Http404.
        """
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        back = reverse("admin:orders_order_change", args=[order_id])
        return cancelling.ask_and_cancel(self, request, numbers_in(str(order_id), most=1), back=back)

    def refund(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """The page that refunds items of an order. Raises PermissionDenied, Http404."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        return refunding.ask_and_refund(self, request, order_id)

    def of_refund(self, request: HttpRequest, refund_id: int) -> HttpResponse:
        """Redirect from a refund's number to its order. Raises PermissionDenied, Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        order_id = selectors.order_of_refund(refund_id)
        if order_id is None:
            raise Http404
        return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order_id]))

    def cancel_many(self, request: HttpRequest) -> HttpResponse:
        """`cancel_one` for the orders named in the URL. Raises PermissionDenied, SuspiciousOperation, Http404."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        back = cancelling.list_address(request.GET.get(cancelling.FILTERS, ""))
        order_ids = numbers_in(request.GET.get("ids", ""), most=cancelling.MOST_AT_ONCE)
        return cancelling.ask_and_cancel(self, request, order_ids, back=back)

    @admin.action(description=_("Cancel and refund"), permissions=["cancel"])
    def cancel_and_refund(self, request: HttpRequest, queryset: "QuerySet[Order]") -> HttpResponse | None:
        """Redirect to the confirmation for the selected orders."""
        numbers = list(queryset.order_by("pk").values_list("pk", flat=True)[: cancelling.MOST_AT_ONCE + 1])
        if len(numbers) > cancelling.MOST_AT_ONCE:
            sentence = _("At most %(count)d orders at a time.") % {"count": cancelling.MOST_AT_ONCE}
            self.message_user(request, sentence, messages.ERROR)
            return None
        if not numbers:
            return None
        asked = {"ids": ",".join(map(str, numbers)), cancelling.FILTERS: request.GET.urlencode()}
        return HttpResponseRedirect(f"{reverse('admin:orders_order_cancel_many')}?{urlencode(asked)}")
