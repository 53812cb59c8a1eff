"""Bulk editing of prices and availability: a page of fields, a preview, and the change.

The pages pass the old and new values in form fields; `products.services` makes the change.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from commerce.audit.record import Staff
from commerce.core.errors import ChangedMeanwhile
from commerce.idempotency.forms import IdempotentForm
from commerce.staff_pages.actions import numbers_in
from commerce.staff_pages.forms import StaffForm
from commerce.staff_pages.pages import NoDeleteAdmin, staff_id
from products import selectors, services
from products.admin.prices import UnusualPricesForm, price_questions
from products.models import Product
from products.rules import HIGHEST_PRICE_WON, Offer, OfferChange, changed_by_percent

MOST_AT_ONCE = 100
MOST_PERCENT = 1_000
PERCENT, WON = "percent", "won"
PREVIEW, AGAIN, SAVE = "preview", "again", "save"
"""The names of the buttons on the two pages."""
ASKED = "ids"
Offers = Mapping[int, Offer]


class OffersForm(StaffForm):
    """A price and a checkbox for each product, and a change for all products that are not edited one by one."""

    all_prices = forms.ChoiceField(
        label=_("all prices"),
        required=False,
        choices=[("", _("leave as they are")), (PERCENT, _("change by percent")), (WON, _("set to (won)"))],
    )
    number = forms.IntegerField(
        label=_("percent or won"),
        required=False,
        min_value=-100,
        max_value=HIGHEST_PRICE_WON,
        help_text=_("A negative percentage lowers prices. A price that is changed below takes precedence."),
    )
    all_sales = forms.ChoiceField(
        label=_("for sale"),
        required=False,
        choices=[("", _("leave as they are")), ("yes", _("for sale")), ("no", _("not for sale"))],
    )
    seen = forms.CharField(widget=forms.HiddenInput)

    changes: Sequence[OfferChange] = ()
    """The changes of a valid form."""

    def __init__(self, *args: Any, products: Sequence[Product], offers: Offers, **kwargs: Any) -> None:
        """`offers`: initial values of the fields."""
        super().__init__(*args, **kwargs)
        self.products = products
        self.fields["seen"].initial = _as_text({product.pk: _offer_of(product) for product in products})
        for product in products:
            offer = offers.get(product.pk, _offer_of(product))
            price = forms.IntegerField(min_value=0, max_value=HIGHEST_PRICE_WON, initial=offer.price)
            price.widget.attrs["aria-label"] = gettext("Price of %(product)s") % {"product": product}
            sale = forms.BooleanField(required=False, initial=offer.is_active)
            sale.widget.attrs["aria-label"] = gettext("%(product)s is for sale") % {"product": product}
            self.add_field(_price(product), price)
            self.add_field(_sale(product), sale)

    @property
    def rows(self) -> list[tuple[Product, Any, Any]]:
        """Each product with its two fields."""
        return [(product, self[_price(product)], self[_sale(product)]) for product in self.products]

    def clean_seen(self) -> Offers:
        seen = _offers_in(self.cleaned_data["seen"])
        if set(seen) != {product.pk for product in self.products}:
            raise forms.ValidationError(_("The page shows other products."), code="other")
        return seen

    def clean(self) -> dict[str, Any]:
        how, number = self.cleaned_data.get("all_prices"), self.cleaned_data.get("number")
        if how and number is None and "number" not in self.errors:
            self.add_error("number", _("Enter an amount."))
        elif not how and number is not None:
            self.add_error("all_prices", _("Choose what the number means."))
        elif how == PERCENT and number is not None and number > MOST_PERCENT:
            self.add_error("number", _("At most %(most)s percent.") % {"most": f"{MOST_PERCENT:,}"})
        elif how == WON and number is not None and number < 0:
            self.add_error("number", _("A price is not negative."))
        if not self.errors:
            self._find_changes()
        return self.cleaned_data

    def _find_changes(self) -> None:
        seen: Offers = self.cleaned_data["seen"]
        if changed := [str(product) for product in self.products if _offer_of(product) != seen[product.pk]]:
            self.add_error(None, _changed_meanwhile(changed))
            return
        wanted = [OfferChange(each.pk, seen[each.pk], self._wanted(each, seen[each.pk])) for each in self.products]
        self.changes = [change for change in wanted if change.offer != change.seen]
        for change in self.changes:
            if change.offer.price > HIGHEST_PRICE_WON:
                self.add_error(f"price_{change.product_id}", _("The price would be too high."))
        if not self.changes:
            self.add_error(None, _("Nothing would change."))

    def _wanted(self, product: Product, seen: Offer) -> Offer:
        """The product's own fields if they were edited, else the change for all."""
        price, is_active = self.cleaned_data[_price(product)], self.cleaned_data[_sale(product)]
        how, number = self.cleaned_data["all_prices"], self.cleaned_data["number"]
        if price == seen.price and how:
            price = changed_by_percent(price, number) if how == PERCENT else number
        if is_active == seen.is_active and self.cleaned_data["all_sales"]:
            is_active = self.cleaned_data["all_sales"] == "yes"
        return Offer(price, is_active)


class SaveForm(IdempotentForm, UnusualPricesForm):
    """The previewed changes and the reason for them."""

    changes = forms.CharField(widget=forms.HiddenInput)


@dataclass(frozen=True)
class ShownChange:
    """One row of the preview."""

    product: Product
    seen: Offer
    offer: Offer
    questions: list[str]


class EditPages(NoDeleteAdmin):
    """Adds the bulk editing pages to the list of products."""

    @admin.action(description=_("Edit price and sale"), permissions=["change"])
    def edit_offers(self, request: HttpRequest, queryset: "QuerySet[Product]") -> HttpResponse | None:
        """Redirect to the fields of the selected products."""
        numbers = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(numbers) > MOST_AT_ONCE:
            sentence = _("At most %(count)d products at a time.") % {"count": MOST_AT_ONCE}
            self.message_user(request, sentence, messages.ERROR)
            return None
        return HttpResponseRedirect(_page_for(numbers)) if numbers else None

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.edit)
        return [path("edit/", view, name="products_product_edit"), *super().get_urls()]

    def shown_above(self, request: HttpRequest, changelist: Any) -> dict[str, Any]:
        numbers = [product.pk for product in changelist.result_list][:MOST_AT_ONCE]
        may_edit = numbers and self.has_change_permission(request)
        return {**super().shown_above(request, changelist), "edit_page": _page_for(numbers) if may_edit else ""}

    def edit(self, request: HttpRequest) -> HttpResponse:
        """Show the fields or the preview, or save. Raises PermissionDenied, SuspiciousOperation, Http404."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        found = selectors.products_by_id(numbers_in(request.GET.get(ASKED, ""), most=MOST_AT_ONCE))
        products = [found[number] for number in sorted(found)]
        if not products:
            raise Http404
        if SAVE in request.POST or AGAIN in request.POST:
            changes = _changes_in(request.POST.get("changes", ""), found)
            if AGAIN in request.POST:
                offers = {change.product_id: change.offer for change in changes}
                return self._fields(request, OffersForm(products=products, offers=offers))
            return self._save(request, changes, found)
        form = OffersForm(request.POST if PREVIEW in request.POST else None, products=products, offers={})
        if form.is_valid():
            return self._preview(request, _shown(form.changes, found), None)
        return self._fields(request, form)

    def _fields(self, request: HttpRequest, form: OffersForm) -> HttpResponse:
        context = {**self._head(request, _("Edit price and sale")), "form": form}
        return TemplateResponse(request, "admin/products/product/edit.html", context)

    def _preview(self, request: HttpRequest, changes: Sequence[ShownChange], sent: SaveForm | None) -> HttpResponse:
        if sent is None:
            sent = SaveForm(unusual=_unusual(changes), initial={"changes": _changes_as_text(changes)})
        count = len(changes)
        button = ngettext("Change %(count)d product", "Change %(count)d products", count) % {"count": count}
        context = {**self._head(request, _("What changes")), "form": sent, "changes": changes, "button": button}
        return TemplateResponse(request, "admin/products/product/edit_preview.html", context)

    def _save(self, request: HttpRequest, changes: Sequence[OfferChange], found: Mapping[int, Product]) -> HttpResponse:
        shown = _shown(changes, found)
        form = SaveForm(request.POST, unusual=_unusual(shown))
        if form.is_valid():
            by = Staff(staff_id(request), form.cleaned_data["reason"])
            try:
                sentence = form.act_once(
                    lambda idempotency: services.save_offers(changes, by=by, idempotency=idempotency),
                    _saved,
                    staff_id=by.id,
                    path=request.path,
                )
            except ChangedMeanwhile:
                names = [str(each.product) for each in shown if _offer_of(each.product) != each.seen]
                self.message_user(request, _changed_meanwhile(names), messages.ERROR)
                return HttpResponseRedirect(request.get_full_path())
            self.message_user(request, form.message_of(sentence), messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:products_product_changelist"))
        return self._preview(request, shown, form)

    def _head(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        back = reverse("admin:products_product_changelist")
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "back": back}


def _page_for(numbers: Sequence[int]) -> str:
    return f"{reverse('admin:products_product_edit')}?{urlencode({ASKED: ','.join(map(str, numbers))})}"


def _offer_of(product: Product) -> Offer:
    return Offer(product.price, product.is_active)


def _price(product: Product) -> str:
    return f"price_{product.pk}"


def _sale(product: Product) -> str:
    return f"sale_{product.pk}"


def _shown(changes: Sequence[OfferChange], found: Mapping[int, Product]) -> list[ShownChange]:
    return [ShownChange(found[each.product_id], each.seen, each.offer, _questions(each)) for each in changes]


def _questions(change: OfferChange) -> list[str]:
    return price_questions(
        change.offer.price,
        is_active=change.offer.is_active,
        price_before=change.seen.price,
        was_active=change.seen.is_active,
    )


def _unusual(changes: Sequence[ShownChange]) -> int:
    return sum(bool(change.questions) for change in changes)


def _saved(count: int) -> str:
    return ngettext("%(count)d product is changed.", "%(count)d products are changed.", count) % {"count": count}


def _changed_meanwhile(names: Sequence[str]) -> str:
    return f"{ChangedMeanwhile()} {', '.join(names)}".strip()


# Hidden form fields ---------------------------------------------------------------------------------------------------


def _as_text(offers: Offers) -> str:
    return json.dumps([[number, offer.price, offer.is_active] for number, offer in offers.items()])


def _changes_as_text(changes: Sequence[ShownChange]) -> str:
    rows = [(each.product.pk, each.seen, each.offer) for each in changes]
    return json.dumps([[key, seen.price, seen.is_active, new.price, new.is_active] for key, seen, new in rows])


def _offers_in(text: str) -> Offers:
    """Parse the initial values of the fields. Raises SuspiciousOperation for forged input."""
    return {number: _offer(*rest) for number, *rest in _rows_in(text, length=3)}


def _changes_in(text: str, found: Mapping[int, Product]) -> list[OfferChange]:
    """Parse the previewed changes. Raises SuspiciousOperation for forged input."""
    changes = [OfferChange(number, _offer(*rest[:2]), _offer(*rest[2:])) for number, *rest in _rows_in(text, length=5)]
    if not changes or len({change.product_id for change in changes} & found.keys()) < len(changes):
        raise SuspiciousOperation("These are not the products of the page.")
    return changes


def _rows_in(text: str, *, length: int) -> list[list[Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SuspiciousOperation("No page made this.") from error
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == length for row in rows):
        raise SuspiciousOperation("No page made this.")
    if not all(type(row[0]) is int for row in rows):
        raise SuspiciousOperation("No page made this.")
    return rows


def _offer(price: Any, is_active: Any) -> Offer:
    if type(price) is not int or not 0 <= price <= HIGHEST_PRICE_WON or not isinstance(is_active, bool):
        raise SuspiciousOperation("No page made this.")
    return Offer(price, is_active)
