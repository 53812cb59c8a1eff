"""Two printable pages of an order: the receipt for the customer, and the packing slip."""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from commerce.staff_pages.pages import NoDeleteAdmin
from orders.models import Order, OrderStatus


class PrintPages(NoDeleteAdmin):
    """Adds the printable pages to the order admin."""

    def get_urls(self) -> list[URLPattern]:
        staff_only = self.admin_site.admin_view
        return [
            path("<int:order_id>/receipt/", staff_only(self.receipt), name="orders_order_receipt"),
            path("<int:order_id>/packing-slip/", staff_only(self.packing_slip), name="orders_order_packing_slip"),
            *super().get_urls(),
        ]

    def receipt(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Items with prices, discount and refunds. Raises PermissionDenied, Http404."""
        order = self._printed(request, order_id)
        refunds = order.refunds.order_by("id").prefetch_related("items__product")
        return self._page(request, order, "receipt", {"title": _("Receipt"), "refunds": refunds})

    def packing_slip(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """The units to pack, without refunded ones. Raises PermissionDenied, Http404."""
        order = self._printed(request, order_id)
        items = [item for item in order.items.all() if item.refundable]
        units = sum(item.refundable for item in items)
        return self._page(request, order, "packing_slip", {"title": _("Packing slip"), "items": items, "units": units})

    def _printed(self, request: HttpRequest, order_id: int) -> Order:
        if not self.has_view_permission(request):
            raise PermissionDenied
        order: Order | None = self.get_object(request, str(order_id))
        if order is None:
            raise Http404
        return order

    def _page(self, request: HttpRequest, order: Order, name: str, shown: dict[str, Any]) -> HttpResponse:
        context = {
            "order": order,
            "shop": settings.EMAIL_SHOP_NAME,
            "is_cancelled": order.status == OrderStatus.CANCELLED,
            "back": reverse("admin:orders_order_change", args=[order.pk]),
            "back_to": order,
            "printed_at": timezone.now(),
            **shown,
        }
        return TemplateResponse(request, f"admin/orders/order/{name}.html", context)
