"""Exports of lists as CSV or XLSX, with exactly the rows of the search and filters. Cells are never formulas."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from commerce.audit.record import Staff, record
from commerce.staff_pages import recent
from commerce.staff_pages.formulas import harmless
from commerce.staff_pages.pages import NoDeleteAdmin, forgeries_refused, staff_id

EXPORTED = gettext_noop("Exported")
MOST_ROWS = {"csv": 200_000, "xlsx": 50_000}
"""The rows that a request can write within its time limit. Longer lists are exported in parts."""
ROWS_AT_ONCE = 5_000
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

Cell = str | int | bool | datetime | None


@dataclass(frozen=True)
class Column:
    """One column: its heading, and a function from a row to the cell's value."""

    heading: Any
    value: Callable[[Any], Any]


class Exported(NoDeleteAdmin):
    """Adds exports to a list, with the permission `export_<model>`."""

    change_list_template = "admin/exported_change_list.html"
    export_columns: ClassVar[Sequence[Column]]

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.export_{self.opts.model_name}"))

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export.<str:kind>", self.admin_site.admin_view(self.export), name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(
            request, {"may_export": self.has_export_permission(request), **(extra_context or {})}
        )

    def get_export_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """The rows of the list with its search and filters; override to load related rows."""
        rows: QuerySet[Any] = self.get_changelist_instance(request).get_queryset(request)
        return rows

    def export(self, request: HttpRequest, kind: str) -> HttpResponse:
        """The file; if it would be too long, a message on the list."""
        if kind not in CONTENT_TYPES or not self.has_export_permission(request):
            raise PermissionDenied
        self._refuse_forged_list(request)
        with forgeries_refused():
            return recent.read(request, lambda: self._file(request, kind))

    def _file(self, request: HttpRequest, kind: str) -> HttpResponse:
        rows = self.get_export_queryset(request)
        most = MOST_ROWS[kind]
        found = rows.order_by().values("pk")[: most + 1].aggregate(count=Count("pk"), first=Min("pk"), last=Max("pk"))
        if found["count"] > most:
            sentence = _("The list has more than %(most)s rows. Filter it, for example by day.")
            self.message_user(request, sentence % {"most": f"{most:,}"}, messages.ERROR)
            back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            return HttpResponseRedirect(f"{back}?{request.GET.urlencode()}")
        lines = ([column.value(row) for column in self.export_columns] for row in _newest_first(rows, found))
        headings = [str(column.heading) for column in self.export_columns]
        body, count = (write_csv if kind == "csv" else write_xlsx)(headings, lines)
        with transaction.atomic():
            asked = {"rows": count, "filter": request.GET.urlencode(), "format": kind}
            record(Staff(staff_id(request)), EXPORTED, self.model, after=asked)
        recent.has_written(request)
        stamp = timezone.localtime().strftime("%Y%m%d-%H%M")
        return HttpResponse(
            body,
            content_type=CONTENT_TYPES[kind],
            headers={"Content-Disposition": f'attachment; filename="{self.opts.model_name}-{stamp}.{kind}"'},
        )


def _newest_first(rows: "QuerySet[Any]", found: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the rows in parts, each with a short statement, so that vacuum is not delayed.

    Bounded by the first and last id found: otherwise PostgreSQL would scan from the newest row back to an old day.
    """
    if not found["count"]:
        return
    ordered = rows.filter(pk__range=(found["first"], found["last"])).order_by("-pk")
    part = list(ordered[:ROWS_AT_ONCE])
    while part:
        yield from part
        part = list(ordered.filter(pk__lt=part[-1].pk)[:ROWS_AT_ONCE]) if len(part) == ROWS_AT_ONCE else []


def write_csv(headings: Sequence[str], lines: Iterator[Sequence[Any]]) -> tuple[bytes, int]:
    """The file and the number of its rows. It begins with a BOM, so that Excel detects UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(headings)
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007  # the last one is the number of rows
        values = map(_plain, line)
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in values])
    return b"\xef\xbb\xbf" + text.getvalue().encode(), count


def write_xlsx(headings: Sequence[str], lines: Iterator[Sequence[Any]]) -> tuple[bytes, int]:
    """The file and the number of its rows. Numbers stay numbers, times are in the shop's time zone."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(headings)
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007  # the last one is the number of rows
        sheet.append([_cell(sheet, _plain(value)) for value in line])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue(), count


def _plain(value: Any) -> Cell:
    if isinstance(value, datetime):
        # Neither format supports time zones, so times are in the shop's.
        return timezone.localtime(value).replace(tzinfo=None, microsecond=0)
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _cell(sheet: Any, value: Cell) -> Any:
    if not isinstance(value, str):
        return value
    # Otherwise text that begins with "=" would be a formula; the format does not allow control characters.
    cell = WriteOnlyCell(sheet, value="".join(letter for letter in value if letter >= " " or letter in "\n\t"))
    cell.data_type = "s"
    return cell
