"""Orders in the back-office: to see what was bought and paid, and to take a whole order back."""

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from balances.selectors import ledger_of_order
from commerce.core.errors import DomainError
from commerce.idempotency.claims import Once
from commerce.staff_pages.pages import ReadOnly, ReadOnlyRows
from orders import services
from orders.models import Order, OrderItem

MOST_AT_ONCE = 100


class ItemRows(ReadOnlyRows):
    """What was bought."""

    model = OrderItem
    fields = ("product", "product_name", "unit_price", "quantity", "line_total")
    readonly_fields = ("line_total",)

    @admin.display(description=_("subtotal (won)"))
    def line_total(self, item: OrderItem) -> int:
        return item.subtotal


@admin.register(Order)
class OrderAdmin(ReadOnly):
    """Paid purchases."""

    list_display = (
        "id",
        "user",
        "status",
        "total_amount",
        "discount_amount",
        "paid_amount",
        "created_at",
        "cancelled_at",
    )
    list_filter = ("status",)
    list_select_related = ("user",)
    search_fields = ("id__exact", "user__username__exact")
    search_help_text = _("An order number or a user name.")
    date_hierarchy = "ordered_date"
    ordering = ("-id",)
    inlines = (ItemRows,)
    fields = (
        "user",
        "status",
        "total_amount",
        "discount_amount",
        "paid_amount",
        "user_coupon",
        "payments",
        "ordered_date",
        "created_at",
        "completed_at",
        "cancelled_at",
    )
    readonly_fields = ("payments",)
    actions = ("cancel_and_refund",)

    @admin.display(description=_("ledger"))
    def payments(self, order: Order) -> str:
        rows = (
            (
                reverse("admin:balances_ledgerentry_change", args=[entry.pk]),
                entry.get_type_display(),
                f"{entry.amount:+,}",
                f"{entry.balance_after:,}",
            )
            for entry in ledger_of_order(order.pk)
        )
        return format_html_join("", '<div><a href="{}">{}</a> {} → {}</div>', rows)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("orders.change_order"))

    def get_urls(self) -> list[URLPattern]:
        ask = self.admin_site.admin_view(self.ask_to_cancel)
        return [path("<int:order_id>/cancel/", ask, name="orders_order_cancel"), *super().get_urls()]

    def ask_to_cancel(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """The question before one order is taken back; its answer goes to the list's action."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        return self._question(request, self.get_queryset(request).filter(pk=order_id))

    @admin.action(description=_("Cancel and refund"), permissions=["cancel"])
    def cancel_and_refund(self, request: HttpRequest, queryset: "QuerySet[Order]") -> HttpResponse | None:
        orders = list(queryset.order_by("id")[: MOST_AT_ONCE + 1])
        if len(orders) > MOST_AT_ONCE:
            sentence = _("At most %(count)d orders at a time.") % {"count": MOST_AT_ONCE}
            self.message_user(request, sentence, messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            return self._question(request, queryset)
        cancelled = sum(self._cancelled(request, order) for order in orders)
        if cancelled:
            sentence = ngettext("%(count)d order was cancelled.", "%(count)d orders were cancelled.", cancelled)
            self.message_user(request, sentence % {"count": cancelled}, messages.SUCCESS)
        return None

    def _cancelled(self, request: HttpRequest, order: Order) -> bool:
        try:
            services.cancel_order(order_id=order.pk, owner_id=None, once=Once())
        except DomainError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return False
        self.log_change(request, order, str(_("Cancelled and refunded.")))
        return True

    def _question(self, request: HttpRequest, orders: "QuerySet[Order]") -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Cancel and refund"),
            "opts": self.opts,
            "orders": orders.select_related("user").order_by("id"),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/orders/order/cancel.html", context)
