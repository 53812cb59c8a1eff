"""Timeline entries and totals of orders on a customer's page, from the customer's newest 10,000 orders."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from commerce.staff_pages.display import won
from commerce.staff_pages.paging import MOST_ROWS_COUNTED
from commerce.staff_pages.timeline import Mark, May, TimelineEntry, TimelineSource, Total, add_timeline_source
from orders.admin.colours import COLOURS
from orders.models import Order, OrderStatus, Refund


def _moments(user_id: int, before: datetime | None, most: int, _may: May) -> Iterator[TimelineEntry]:
    orders = Order.objects.filter(user_id=user_id)
    if before is not None:
        orders = orders.filter(created_at__lt=before)
    for order in orders.prefetch_related("items").order_by("-pk")[:most]:
        units = sum(item.quantity for item in order.items.all())
        said = ngettext("%(count)d unit for %(amount)s", "%(count)d units for %(amount)s", units)
        yield TimelineEntry(
            order.created_at,
            "shopping_cart",
            _("Order %(order)s") % {"order": order},
            said % {"count": units, "amount": won(order.paid_amount)},
            reverse("admin:orders_order_change", args=[order.pk]),
            [Mark(order.get_status_display(), COLOURS.get(order.status, ""))],
        )


def _totals(user_id: int, _may: May) -> Iterator[Total]:
    newest = Order.objects.filter(user_id=user_id).order_by("-pk")[:MOST_ROWS_COUNTED]
    stands, taken_back = Q(status=OrderStatus.COMPLETED), Q(status=OrderStatus.CANCELLED)
    found = newest.aggregate(
        orders=Count("pk", filter=stands),
        paid=Sum("paid_amount", filter=stands),
        cancelled=Count("pk", filter=taken_back),
        given_back=Sum("paid_amount", filter=taken_back),
        refunded=Sum("refunded_amount"),
        refunded_of_standing=Sum("refunded_amount", filter=stands),
    )
    address = f"{reverse('admin:orders_order_changelist')}?{urlencode({'user__id__exact': user_id})}"
    yield Total(_("Orders that stand"), f"{found['orders']:,}", f"{address}&status__exact={OrderStatus.COMPLETED}")
    yield Total(_("Paid for them"), won((found["paid"] or 0) - (found["refunded_of_standing"] or 0)))
    yield Total(_("Cancelled"), f"{found['cancelled']:,}", f"{address}&status__exact={OrderStatus.CANCELLED}")
    yield Total(_("Refunded"), won((found["given_back"] or 0) + (found["refunded"] or 0)))


def _refunds(user_id: int, before: datetime | None, most: int, _may: May) -> Iterator[TimelineEntry]:
    # Joined from the customer's orders: a scan of all refunds is slow for customers with few of them.
    orders = Order.objects.filter(user_id=user_id, refunded_units__gt=0).order_by("-pk")
    numbers = list(orders.values_list("pk", flat=True)[:MOST_ROWS_COUNTED])
    if not numbers:
        return
    refunds = Refund.objects.filter(order_id__in=numbers)
    if before is not None:
        refunds = refunds.filter(created_at__lt=before)
    for refund in refunds.prefetch_related("items").order_by("-pk")[:most]:
        units = sum(line.quantity for line in refund.lines)
        said = ngettext("%(count)d unit, %(amount)s refunded", "%(count)d units, %(amount)s refunded", units)
        yield TimelineEntry(
            refund.created_at,
            "undo",
            _("Refund of order %(order)s") % {"order": f"#{refund.order_id}"},
            said % {"count": units, "amount": won(refund.amount)},
            reverse("admin:orders_refund_change", args=[refund.pk]),
        )


add_timeline_source("orders", TimelineSource("orders.view_order", _moments, _totals))
add_timeline_source("refunds", TimelineSource("orders.view_order", _refunds))
