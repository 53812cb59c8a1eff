"""What sold when, in the back-office. Only the consumer and the backfill write it."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from commerce.core.staff_pages import ReadOnly
from stats.models import ProcessedEvent, ProductStat


@admin.register(ProductStat)
class ProductStatAdmin(ReadOnly):
    """Units sold per product and day."""

    list_display = ("date", "product", "quantity_sold")
    list_select_related = ("product",)
    search_fields = ("product__name", "product__id__exact")
    search_help_text = _("A product's name or number.")
    date_hierarchy = "date"
    ordering = ("-date", "product_id")


@admin.register(ProcessedEvent)
class ProcessedEventAdmin(ReadOnly):
    """Order events that have been counted."""

    list_display = ("event_id", "processed_at")
    search_fields = ("event_id__exact",)
    search_help_text = _("An event, such as order-completed:1.")
    ordering = ("-processed_at",)
