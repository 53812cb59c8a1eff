"""The read-only back-office list of ledger entries, with filters by account, order, day and amount."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeNumericFilter
from unfold.decorators import display

from balances.models import EntryType, LedgerEntry
from balances.selectors import accounts_named, of_order, with_reasons
from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.display import won, won_moved
from commerce.staff_pages.exports import Column, Exported
from commerce.staff_pages.filters import PERIODS, DayRangeFilter, asks_for_days
from commerce.staff_pages.pages import LongList, ReadOnly

# Known to the type checker only; the library's own are untyped.
if TYPE_CHECKING:
    from django.contrib.admin import FieldListFilter as Range
else:
    Range = RangeNumericFilter

LATELY_DAYS = 31
NO_SUCH_ID = -1
COLOURS = {
    EntryType.CHARGE.value: "success",
    EntryType.PAYMENT.value: "info",
    EntryType.REFUND.value: "warning",
    EntryType.ADJUSTMENT.value: "danger",
}


class AmountFilter(Range):
    """A range of amounts, both inclusive; limited to the last days unless days or an account are given.

    Amounts have no index, because every payment would have to update it, so a search for a rare amount scans rows.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("amount (won), of the last %(count)d days unless days are given") % {"count": LATELY_DAYS}

    def queryset(self, request: HttpRequest, queryset: "QuerySet[LedgerEntry]") -> "QuerySet[LedgerEntry]":
        least, most = (self._won(end) for end in ("from", "to"))
        if least is None and most is None:
            return queryset
        if least is not None:
            queryset = queryset.filter(amount__gte=least)
        if most is not None:
            queryset = queryset.filter(amount__lte=most)
        if asks_for_days(request, "created_at") or _asks_for_accounts(request):
            return queryset
        return queryset.filter(created_at__gte=timezone.now() - timedelta(days=LATELY_DAYS))

    def _won(self, end: str) -> int | None:
        try:
            amount: int | None = forms.IntegerField(required=False).clean(self.used_parameters.get(f"amount_{end}"))
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error
        return amount


def _asks_for_accounts(request: HttpRequest) -> bool:
    """Whether a list is narrowed to accounts or an order."""
    return any(request.GET.get(name, "").strip() for name in ("user__id__exact", "q"))


def may_sort_by_amount(request: HttpRequest) -> bool:
    """Whether a list is narrowed to so few entries that they can be sorted by amount, for which there is no index.

    To accounts or an order, or to `LATELY_DAYS` days at most.
    """
    if _asks_for_accounts(request):
        return True
    first, last = (request.GET.get(f"created_at_{end}") for end in ("from", "to"))
    if not (first or last):
        return request.GET.get("created_at_days") in PERIODS
    try:
        days = [forms.DateField().clean(day) for day in (first, last)]
    except ValidationError:
        return False
    return bool((days[1] - days[0]).days < LATELY_DAYS)


class LedgerList(LongList):
    """The ledger, sorted by amount only where `may_sort_by_amount`; otherwise as if that was not asked for."""

    def get_ordering(self, request: HttpRequest, queryset: "QuerySet[LedgerEntry]") -> list[Any]:
        ordering: list[Any] = super().get_ordering(request, queryset)
        if may_sort_by_amount(request) or not {"amount", "-amount"} & set(ordering):
            return ordering
        return [*self.model_admin.get_ordering(request), "-pk"]


@admin.register(LedgerEntry)
class LedgerAdmin(ReadOnly, Exported):
    """Ledger entries."""

    list_display = ("id", "customer", "kind", "moved", "after", "order", "reason", "at")
    list_display_links = ("id",)
    list_filter = (("type", ChoicesDropdownFilter), ("created_at", DayRangeFilter), ("amount", AmountFilter))
    list_select_related = ("user",)
    search_fields = ("user__username", "order_id")
    search_help_text = _("A user name or an order number.")
    ordering = ("-created_at",)
    fields = ("user", "type", "moved", "after", "order", "reason", "adjusted_by", "at", "hash")
    readonly_fields = ("moved", "after", "order", "reason", "adjusted_by", "at", "hash")
    export_columns: ClassVar = (
        Column(_("number"), lambda entry: entry.pk),
        Column(_("time"), lambda entry: entry.created_at),
        Column(_("user number"), lambda entry: entry.user_id),
        Column(_("user name"), lambda entry: entry.user.username),
        Column(_("type"), lambda entry: entry.type),
        Column(_("amount (won)"), lambda entry: entry.amount),
        Column(_("balance after (won)"), lambda entry: entry.balance_after),
        Column(_("order number"), lambda entry: entry.order_id),
        Column(_("reason"), lambda entry: entry.reason),
        Column(_("adjusted by"), lambda entry: entry.adjusted_by),
        Column(_("hash"), lambda entry: bytes(entry.entry_hash).hex()),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LedgerList]:
        return LedgerList

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        # A list that is sorted by anything else would have to read millions of entries.
        return ("at", "moved") if may_sort_by_amount(request) else ("at",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[LedgerEntry]":
        return with_reasons(super().get_queryset(request).select_related("user"))

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[LedgerEntry]", search_term: str
    ) -> tuple["QuerySet[LedgerEntry]", bool]:
        """Search by account or order, each with an index; Django's own search would scan the table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(user_id__in=accounts_named(term) or [NO_SUCH_ID])
        number = whole_number(term)
        if number is not None:
            found |= of_order(number)
        return queryset.filter(found), False

    @admin.display(description=_("at"), ordering="created_at")
    def at(self, entry: LedgerEntry) -> str:
        return f"{timezone.localtime(entry.created_at):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("user"))
    def customer(self, entry: LedgerEntry) -> str:
        page = reverse("admin:balances_user_change", args=[entry.user_id])
        return format_html('<a class="text-link" href="{}">{}</a>', page, entry.user.get_username())

    @display(description=_("type"), label=COLOURS)
    def kind(self, entry: LedgerEntry) -> tuple[str, str]:
        return entry.type, entry.get_type_display()

    @admin.display(description=_("amount"), ordering="amount")
    def moved(self, entry: LedgerEntry) -> str:
        return won_moved(entry.amount)

    @admin.display(description=_("balance after"))
    def after(self, entry: LedgerEntry) -> str:
        return won(entry.balance_after)

    @admin.display(description=_("order"))
    def order(self, entry: LedgerEntry) -> str:
        if entry.order_id is None:
            return "–"
        page = reverse("admin:orders_order_change", args=[entry.order_id])
        return format_html('<a class="text-link" href="{}">#{}</a>', page, entry.order_id)

    @admin.display(description=_("reason"))
    def reason(self, entry: LedgerEntry) -> str:
        return getattr(entry, "reason", None) or "–"

    @admin.display(description=_("adjusted by"))
    def adjusted_by(self, entry: LedgerEntry) -> str:
        return getattr(entry, "adjusted_by", None) or "–"

    @admin.display(description=_("hash"))
    def hash(self, entry: LedgerEntry) -> str:
        """Chained to the account's previous entry: docs/ledger.md."""
        return bytes(entry.entry_hash).hex()
