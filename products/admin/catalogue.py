"""The back-office list of products and the page of one. Stock is adjusted on its own page (`admin.stock`)."""

from operator import attrgetter
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, DropdownFilter
from unfold.decorators import display

from commerce.audit.record import Staff, actions_on
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.display import won
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.forms import ConfirmedForm, Form, OpenedForm
from commerce.staff_pages.pages import ServiceAdmin, staff_id
from products import selectors, services
from products.admin.editing import MOST_AT_ONCE, EditPages
from products.admin.imports import ImportPages
from products.admin.movements import COLOURS
from products.admin.prices import price_questions
from products.admin.stock import StockPages
from products.models import EDITABLE, MovementReason, Product
from products.rules import HIGHEST_PRICE_WON, LOW_STOCK_UNITS, MOST_UNITS_AT_ONCE, stock_level

ON_THE_PAGE = 20
STOCK_COLOURS = {"out": "danger", "low": "warning", "ok": "success"}


class ProductForm(ConfirmedForm, OpenedForm):
    """The fields of a product that staff edit."""

    watched = EDITABLE

    price = forms.IntegerField(label=_("price (won)"), min_value=0, max_value=HIGHEST_PRICE_WON)

    class Meta:
        model = Product
        fields = EDITABLE

    def questions(self) -> list[str]:
        """Ask for confirmation of an unusual price, when it is changed."""
        return price_questions(
            self.instance.price,
            is_active=self.instance.is_active,
            price_before=self.seen.get("price"),
            was_active=self.seen.get("is_active", False),
        )


class NewProductForm(IdempotentForm, ProductForm):
    """The form of a new product, with its opening stock."""

    opening_stock = forms.IntegerField(
        label=_("opening stock"),
        min_value=0,
        max_value=MOST_UNITS_AT_ONCE,
        initial=0,
    )


class StockFilter(DropdownFilter):
    """Filter by stock level. It scans the catalogue, which is small."""

    title = _("stock")
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return [
            ("out", _("Out of stock")),
            ("low", _("Low (1 to %(most)d)") % {"most": LOW_STOCK_UNITS}),
            ("ok", _("Enough")),
        ]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Product]") -> "QuerySet[Product]":
        levels = {
            "out": {"left__lte": 0},
            "low": {"left__gt": 0, "left__lte": LOW_STOCK_UNITS},
            "ok": {"left__gt": LOW_STOCK_UNITS},
        }
        return queryset.alias(left=selectors.AVAILABLE).filter(**levels.get(self.value(), {}))


@admin.register(Product)
class ProductAdmin(EditPages, ImportPages, StockPages, Exported, ServiceAdmin):
    """Products."""

    change_list_template = "admin/products/product/change_list.html"
    list_display = ("id", "name", "price_shown", "stock_shown", "is_active", "updated_at")
    list_display_links = ("id", "name")
    list_filter = (("is_active", BooleanRadioFilter), StockFilter)
    search_fields = ("id__exact", "name")
    search_help_text = _("A product's number or a part of its name.")
    ordering = ("id",)
    actions = ("edit_offers",)
    most_selected = MOST_AT_ONCE
    form = ProductForm
    readonly_fields = ("stock_now", "created_at", "updated_at")
    export_columns: ClassVar = (
        # The import accepts these headings.
        Column("id", attrgetter("pk")),
        *(
            Column(label_for_field(name, Product), attrgetter(name))
            for name in (*EDITABLE, "stock", "held", "created_at", "updated_at")
        ),
    )

    @admin.display(description=_("price"), ordering="price")
    def price_shown(self, product: Product) -> str:
        return won(product.price)

    @display(description=_("stock"), ordering=selectors.AVAILABLE, label=STOCK_COLOURS)
    def stock_shown(self, product: Product) -> tuple[str, str]:
        return stock_level(product.available), _stock_of(product)

    @admin.display(description=_("stock"))
    def stock_now(self, product: Product) -> str:
        label = {"text": _stock_of(product), "type": STOCK_COLOURS[stock_level(product.available)]}
        return render_to_string("unfold/helpers/label.html", label)

    def get_form(
        self, request: HttpRequest, obj: Product | None = None, change: bool = False, **kwargs: Any
    ) -> type[Form]:
        return super().get_form(request, obj, change, **{"form": ProductForm if change else NewProductForm, **kwargs})

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        if obj is None:
            return (*EDITABLE, "opening_stock", "form_key", "confirmed")
        return (*EDITABLE, "stock_now", "created_at", "updated_at", "opened", "confirmed")

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        by = Staff(staff_id(request))
        if change:
            services.save_product(obj, seen=form.seen, by=by)
            return
        opening_stock = form.cleaned_data["opening_stock"]
        # A form that is sent twice leads to the product that it has created.
        made = form.act_once(
            lambda idempotency: services.create_product(
                obj, opening_stock=opening_stock, by=by, idempotency=idempotency
            ),
            lambda product: str(product.pk),
            staff_id=by.id,
            path=request.path,
        )
        obj.pk = int(made)

    def shown_beside(self, request: HttpRequest, row: Product) -> dict[str, Any]:
        """Context shown below the form: staff actions and stock movements."""
        shown = {
            "original_key": str(row.pk),
            "may_adjust": self.has_adjust_permission(request),
            "actions": actions_on(self.opts.label_lower, row.pk)[:ON_THE_PAGE],
        }
        if request.user.has_perm("products.view_stockmovement"):
            newest = selectors.movements().filter(product=row).order_by("-id")[:ON_THE_PAGE]
            shown["movements"] = [(movement, COLOURS[MovementReason(movement.reason)]) for movement in newest]
        return shown


def _stock_of(product: Product) -> str:
    """The available units, and those held for carts."""
    available = f"{product.available:,}"
    if not product.held:
        return available
    return _("%(available)s + %(held)s held") % {"available": available, "held": f"{product.held:,}"}
