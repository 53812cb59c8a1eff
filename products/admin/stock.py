"""The page that adjusts the stock of one product by a number of units, with a reason."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from commerce.audit.record import Staff
from commerce.core.errors import DomainError
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.forms import ReasonForm
from commerce.staff_pages.pages import NoDeleteAdmin, staff_id
from products import services
from products.errors import OutOfStock
from products.models import Product
from products.rules import MOST_UNITS_AT_ONCE


class AdjustStockForm(IdempotentForm, ReasonForm):
    """The number of units to add or remove, and the reason."""

    delta = forms.IntegerField(
        label=_("units to add"),
        min_value=-MOST_UNITS_AT_ONCE,
        max_value=MOST_UNITS_AT_ONCE,
        help_text=_(
            "Negative: units to remove. The number is added to the current stock, so later sales are not lost."
        ),
    )
    field_order = ("delta", "reason")

    def clean_delta(self) -> int:
        delta: int = self.cleaned_data["delta"]
        if delta == 0:
            raise forms.ValidationError(_("Nothing to adjust."), code="zero")
        return delta

    def refuse(self, refusal: DomainError) -> None:
        """Attach the refusal to its field."""
        if isinstance(refusal, OutOfStock):
            self.add_error("delta", refusal.for_staff)
        else:
            super().refuse(refusal)


class StockPages(NoDeleteAdmin):
    """Adds the stock page to the product admin."""

    def has_adjust_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("products.adjust_stock"))

    def get_urls(self) -> list[URLPattern]:
        adjust = self.admin_site.admin_view(self.adjust_stock)
        return [
            path("<int:product_id>/adjust-stock/", adjust, name="products_product_adjust_stock"),
            *super().get_urls(),
        ]

    def adjust_stock(self, request: HttpRequest, product_id: int) -> HttpResponse:
        """Show the form, or adjust the stock on POST."""
        if not self.has_adjust_permission(request):
            raise PermissionDenied
        product: Product | None = self.get_object(request, str(product_id))
        if product is None:
            raise Http404
        back = reverse("admin:products_product_change", args=[product_id])
        form = AdjustStockForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._adjusted(request, product, form):
            return HttpResponseRedirect(back)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": _("Adjust stock"),
            "opts": self.opts,
            "original": product,
            "form": form,
            "button": _("Adjust stock"),
            "back": back,
        }
        return TemplateResponse(request, "admin/products/product/adjust_stock.html", context)

    def _adjusted(self, request: HttpRequest, product: Product, form: AdjustStockForm) -> bool:
        delta, reason = form.cleaned_data["delta"], form.cleaned_data["reason"]
        by = Staff(staff_id(request), reason)
        sentence = _("The stock of %(product)s is %(stock)s now (%(delta)s).")
        done = form.try_once(
            lambda idempotency: services.adjust_stock(
                product_id=product.pk, delta=delta, by=by, idempotency=idempotency
            ),
            lambda stock: str(sentence % {"product": product.name, "stock": f"{stock:,}", "delta": f"{delta:+,}"}),
            staff_id=by.id,
            path=request.path,
        )
        if done:
            self.message_user(request, done, messages.SUCCESS)
        return bool(done)
