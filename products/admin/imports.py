"""Product imports: an empty file, the upload, the preview of every line, and the import of the valid lines.

Between upload and import the file is stored in the database, visible only to its sender.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import label_for_field
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import Truncator
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from commerce.audit.record import Staff
from commerce.core.errors import DomainError
from commerce.core.text import normal
from commerce.staff_pages.display import won
from commerce.staff_pages.exports import CONTENT_TYPES, write_csv, write_xlsx
from commerce.staff_pages.pages import NoDeleteAdmin, staff_id
from commerce.staff_pages.paging import CappedPaginator
from commerce.staff_pages.uploads import UploadForm, UploadRefused, read_rows, takes_upload
from products import selectors, services
from products.admin.lines import COLUMNS, HEADINGS, IGNORED, Rights, parsed_lines, planned
from products.admin.prices import UnusualPricesForm, price_questions
from products.models import EDITABLE, ImportLine, LineOutcome, LinePlan, Product, ProductImport
from products.rules import IMPORT_KEPT_HOURS

IMPORT_SECONDS = 8.0
"""Time limit of one request. The page then shows what is left, and the next click continues."""
LINES_ON_A_PAGE = 100
SENT_SHOWN = 5
IMPORTS_ON_A_PAGE = 50
CHARACTERS_SHOWN = 80

PLAN_COLOURS = {LinePlan.ADD: "success", LinePlan.CHANGE: "info", LinePlan.WRONG: "danger"}
OUTCOME_COLOURS = {LineOutcome.IMPORTED: "success", LineOutcome.REFUSED: "danger"}
FIELD_NAMES = {name: label_for_field(name, Product) for name in (*EDITABLE, "stock")}


@dataclass(frozen=True)
class ShownLine:
    """A line of the preview: label and colour, then name, old and new value of each field."""

    line: ImportLine
    label: Any
    colour: str
    name: str
    changes: list[tuple[Any, str | None, str]]
    questions: list[str]
    """What is unusual about its price, until it is imported."""


class ImportPages(NoDeleteAdmin):
    """Adds the import pages to the list of products."""

    def has_import_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("products.import_product"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(
            request, {"may_import": self.has_import_permission(request), **(extra_context or {})}
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("import/", view(self.send_file), name="products_product_import"),
            path("import/empty.<str:kind>", view(self.empty_file), name="products_product_import_empty"),
            path("import/past/", view(self.past_imports), name="products_product_imports"),
            path("import/<int:import_id>/", view(self.preview), name="products_product_import_preview"),
            *super().get_urls(),
        ]

    def empty_file(self, request: HttpRequest, kind: str) -> HttpResponse:
        """A file with the headings, in the language of the request."""
        self._require_import(request)
        if kind not in CONTENT_TYPES:
            raise Http404
        headings = HEADINGS.get((get_language() or "")[:2], HEADINGS["en"])
        body, _count = (write_csv if kind == "csv" else write_xlsx)(headings, iter(()))
        disposition = f'attachment; filename="products.{kind}"'
        return HttpResponse(body, content_type=CONTENT_TYPES[kind], headers={"Content-Disposition": disposition})

    @takes_upload
    def send_file(self, request: HttpRequest) -> HttpResponse:
        """Upload and parse the file; no product changes yet."""
        self._require_import(request)
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                lines = _planned_lines(file.read(), _rights(request))
            except UploadRefused as refusal:
                form.add_error("file", str(refusal))
            else:
                by = Staff(staff_id(request))
                kept = services.keep_import(file_name=normal(file.name or ""), lines=lines, by=by)
                return HttpResponseRedirect(reverse("admin:products_product_import_preview", args=[kept.pk]))
        context = {
            **self._context(request, _("Import products")),
            "form": form,
            "button": _("Read the file"),
            "back": reverse("admin:products_product_changelist"),
            "columns": zip(HEADINGS["en"], HEADINGS["ko"], [column.meaning for column in COLUMNS], strict=True),
            "kept_hours": IMPORT_KEPT_HOURS,
            "sent": selectors.kept_imports(staff_id(request))[:SENT_SHOWN],
            "may_export": _may(request, "export"),
        }
        return TemplateResponse(request, "admin/products/product/import.html", context)

    def past_imports(self, request: HttpRequest) -> HttpResponse:
        """The files of which anything was imported: sender, time, reason, number of rows."""
        self._require_import(request)
        page = CappedPaginator(selectors.past_imports(), IMPORTS_ON_A_PAGE).get_page(request.GET.get("p"))
        own = set(selectors.kept_imports(staff_id(request)).values_list("pk", flat=True))
        context = {
            **self._context(request, _("Past imports")),
            "page": page,
            "imports": [(each, each.pk in own) for each in page],
            "back": reverse("admin:products_product_import"),
        }
        return TemplateResponse(request, "admin/products/product/imports.html", context)

    def preview(self, request: HttpRequest, import_id: int) -> HttpResponse:
        """Show the plan or outcome of each line; POST imports the valid lines."""
        self._require_import(request)
        product_import = selectors.kept_imports(staff_id(request)).filter(pk=import_id).first()
        if product_import is None:
            self.message_user(request, _why_not_kept(selectors.sender_of_import(import_id)), messages.WARNING)
            return HttpResponseRedirect(reverse("admin:products_product_import"))
        unusual = sum(bool(_questions(line)) for line in selectors.lines_to_import(product_import))
        form = UnusualPricesForm(request.POST or None, initial={"reason": product_import.reason}, unusual=unusual)
        if request.method == "POST" and form.is_valid():
            self._import(request, product_import, form.cleaned_data["reason"])
            return HttpResponseRedirect(request.path)
        counts = selectors.line_counts(product_import)
        shown = request.GET.get("show", "")
        lines = Paginator(_chosen(product_import, shown), LINES_ON_A_PAGE).get_page(request.GET.get("p"))
        good = counts[LineOutcome.WAITING]
        context = {
            **self._context(request, _("Import: %(file)s") % {"file": product_import.file_name}),
            "form": form,
            "button": ngettext("Import %(count)d good row", "Import %(count)d good rows", good) % {"count": good},
            "back": reverse("admin:products_product_import"),
            "good": good,
            "left_out": _left_out(counts[LinePlan.WRONG]),
            "tabs": _tabs(counts, shown),
            "page": lines,
            "lines": [_shown(line) for line in lines],
            "show": shown,
        }
        return TemplateResponse(request, "admin/products/product/import_preview.html", context)

    def _import(self, request: HttpRequest, product_import: ProductImport, reason: str) -> None:
        needed = selectors.rights_needed(product_import)
        if not all(_may(request, right) for right in needed):
            raise PermissionDenied
        by = Staff(staff_id(request), reason)
        try:
            left = services.import_products(product_import, by=by, within_seconds=IMPORT_SECONDS)
        except DomainError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return
        counts = selectors.line_counts(product_import)
        done, refused = counts[LineOutcome.IMPORTED], counts[LineOutcome.REFUSED]
        sentence = ngettext("%(count)d row is imported.", "%(count)d rows are imported.", done)
        self.message_user(request, sentence % {"count": done}, messages.SUCCESS)
        if refused:
            sentence = ngettext(
                "%(count)d row was refused; the row shows the reason.",
                "%(count)d rows were refused; each row shows the reason.",
                refused,
            )
            self.message_user(request, sentence % {"count": refused}, messages.WARNING)
        if left:
            sentence = ngettext(
                "%(count)d row remains; press the button again.",
                "%(count)d rows are left; press the button again.",
                left,
            )
            self.message_user(request, sentence % {"count": left}, messages.WARNING)

    def _require_import(self, request: HttpRequest) -> None:
        if not self.has_import_permission(request):
            raise PermissionDenied

    def _context(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}


def _may(request: HttpRequest, right: str) -> bool:
    name = {"adjust": "adjust_stock"}.get(right, f"{right}_product")
    return bool(request.user.has_perm(f"products.{name}"))


def _rights(request: HttpRequest) -> Rights:
    return Rights(add=_may(request, "add"), change=_may(request, "change"), adjust=_may(request, "adjust"))


def _planned_lines(content: bytes, rights: Rights) -> list[ImportLine]:
    lines = parsed_lines(read_rows(content, (*COLUMNS, IGNORED)))
    products = selectors.products_by_id(line.product_id for line in lines if line.product_id is not None)
    return [planned(line, products, rights) for line in lines]


def _chosen(product_import: ProductImport, shown: str) -> "QuerySet[ImportLine]":
    lines = ImportLine.objects.filter(product_import=product_import).order_by("number")
    if shown in LinePlan.values:
        return lines.filter(plan=shown)
    return lines.filter(outcome=shown) if shown in LineOutcome.values else lines


def _why_not_kept(sender: str) -> str:
    if not sender:
        return gettext("This file is not stored any more. Upload it again.")
    return gettext("%(sender)s uploaded this file; only they can see and import it.") % {"sender": sender}


def _left_out(wrong: int) -> str:
    if not wrong:
        return ""
    sentence = ngettext(
        "%(count)d row with an error is skipped. Correct it and upload the file again, or continue without it.",
        "%(count)d rows with errors are skipped. Correct them and upload the file again, or continue without them.",
        wrong,
    )
    return sentence % {"count": wrong}


def _tabs(counts: dict[str, int], shown: str) -> list[tuple[str, Any, int, bool]]:
    """(value, name, number of lines, whether it is selected) for each tab."""
    every = sum(counts[plan] for plan in LinePlan.values)
    tabs = [("", _("All"), every)]
    tabs += [(plan.value, plan.label, counts[plan]) for plan in LinePlan]
    tabs += [(outcome.value, outcome.label, counts[outcome]) for outcome in OUTCOME_COLOURS if counts[outcome]]
    return [(value, name, count, value == shown) for value, name, count in tabs]


def _shown(line: ImportLine) -> ShownLine:
    values = dict(line.values)
    if line.stock_change or line.plan == LinePlan.ADD:
        values["stock"] = line.seen.get("stock", 0) + line.stock_change
    if line.plan == LinePlan.WRONG:
        values = {}
    if line.plan == LinePlan.ADD:
        # Shown beside the label already.
        del values["name"]
    outcome = LineOutcome(line.outcome)
    plan = LinePlan(line.plan)
    is_done = outcome != LineOutcome.WAITING
    return ShownLine(
        line,
        outcome.label if is_done else plan.label,
        OUTCOME_COLOURS[outcome] if is_done else PLAN_COLOURS.get(plan, ""),
        line.seen.get("name") or line.values.get("name", ""),
        [
            (FIELD_NAMES[name], _in_words(name, line.seen[name]) if name in line.seen else None, _in_words(name, value))
            for name, value in ((name, values[name]) for name in FIELD_NAMES if name in values)
        ],
        _questions(line),
    )


def _questions(line: ImportLine) -> list[str]:
    if line.plan not in (LinePlan.ADD, LinePlan.CHANGE) or line.outcome != LineOutcome.WAITING:
        return []
    now = {**line.seen, **line.values}
    return price_questions(
        now["price"],
        is_active=now["is_active"],
        price_before=line.seen.get("price"),
        was_active=line.seen.get("is_active", False),
    )


def _in_words(name: str, value: Any) -> str:
    if name == "price":
        return won(value)
    if name == "is_active":
        return str(_("yes") if value else _("no"))
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else Truncator(value).chars(CHARACTERS_SHOWN)
