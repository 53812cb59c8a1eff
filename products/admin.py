"""The catalogue and the stock in the back-office. Stock moves only by an adjustment with a reason."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from commerce.core.errors import DomainError
from commerce.staff_pages.forms import Form, OpenedForm
from commerce.staff_pages.pages import ReadOnly, ThroughServices, staff_id
from products import services
from products.errors import OutOfStock
from products.models import Product, StockMovement
from products.rules import HIGHEST_PRICE_WON

MOST_UNITS = 1_000_000


class ProductForm(OpenedForm):
    """What staff say about a product."""

    watched = ("name", "description", "price", "is_active")

    price = forms.IntegerField(label=_("price (won)"), min_value=0, max_value=HIGHEST_PRICE_WON)

    class Meta:
        model = Product
        fields = ("name", "description", "price", "is_active")


class NewProductForm(ProductForm):
    """A new product comes with the units that are on the shelf."""

    opening_stock = forms.IntegerField(label=_("opening stock"), min_value=0, max_value=MOST_UNITS, initial=0)


class AdjustStockForm(forms.Form):
    """How many units more or less, and why."""

    delta = forms.IntegerField(
        label=_("units to add"),
        min_value=-MOST_UNITS,
        max_value=MOST_UNITS,
        help_text=_("Negative: units to take away. Sales meanwhile are not lost: this is added to what is there then."),
    )
    note = forms.CharField(label=_("reason"), max_length=200)

    def clean_delta(self) -> int:
        delta: int = self.cleaned_data["delta"]
        if delta == 0:
            raise forms.ValidationError(_("Nothing to adjust."), code="zero")
        return delta


@admin.register(Product)
class ProductAdmin(ThroughServices):
    """What the shop sells."""

    list_display = ("id", "name", "price", "stock", "is_active", "updated_at")
    list_display_links = ("id", "name")
    list_filter = ("is_active",)
    search_fields = ("id__exact", "name", "description")
    ordering = ("id",)
    form = ProductForm
    readonly_fields = ("stock", "created_at", "updated_at")

    def get_form(
        self, request: HttpRequest, obj: Product | None = None, change: bool = False, **kwargs: Any
    ) -> type[Form]:
        return super().get_form(request, obj, change, **{"form": ProductForm if change else NewProductForm, **kwargs})

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        if obj is None:
            return ("name", "description", "price", "opening_stock", "is_active")
        return ("name", "description", "price", "stock", "is_active", "created_at", "updated_at", "opened")

    def save_model(self, request: HttpRequest, obj: Product, form: ProductForm, change: bool) -> None:
        if change:
            services.save_product(obj, seen=form.seen)
        else:
            opening_stock = form.cleaned_data["opening_stock"]
            services.create_product(obj, opening_stock=opening_stock, actor_id=staff_id(request))

    def get_urls(self) -> list[URLPattern]:
        adjust = self.admin_site.admin_view(self.adjust_stock)
        return [
            path("<int:product_id>/adjust-stock/", adjust, name="products_product_adjust_stock"),
            *super().get_urls(),
        ]

    def adjust_stock(self, request: HttpRequest, product_id: int) -> HttpResponse:
        """The page that corrects the stock of one product."""
        product = self.get_object(request, str(product_id))
        if product is None:
            raise Http404
        if not self.has_change_permission(request, product):
            raise PermissionDenied
        form = AdjustStockForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._adjusted(request, product, form):
            return HttpResponseRedirect(reverse("admin:products_product_change", args=[product_id]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Adjust stock"),
            "opts": self.opts,
            "product": product,
            "form": form,
        }
        return TemplateResponse(request, "admin/products/product/adjust_stock.html", context)

    def _adjusted(self, request: HttpRequest, product: Product, form: AdjustStockForm) -> bool:
        delta, note = form.cleaned_data["delta"], form.cleaned_data["note"]
        try:
            stock = services.adjust_stock(product_id=product.pk, delta=delta, actor_id=staff_id(request), note=note)
        except OutOfStock as refusal:
            form.add_error("delta", _("Only %(stock)d are there.") % {"stock": refusal.shortages[0].available})
            return False
        except DomainError as refusal:
            form.add_error(None, str(refusal))
            return False
        self.log_change(request, product, f"{delta:+} → {stock}: {note}")
        sentence = _("The stock is %(stock)d now (%(delta)+d).") % {"stock": stock, "delta": delta}
        self.message_user(request, sentence, messages.SUCCESS)
        return True


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnly):
    """Every unit that moved."""

    list_display = ("id", "product", "reason", "quantity", "order_id", "actor_id", "note", "created_at")
    list_filter = ("reason",)
    list_select_related = ("product",)
    search_fields = ("product__name", "order_id__exact")
    search_help_text = _("A product's name or an order number.")
    ordering = ("-id",)
