"""What a list shows as a file: CSV or XLSX, exactly the rows of its search and filters.

Owns the two formats, their bounds, and that no cell is taken for a formula; never chooses the rows.
"""

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
"""What a request can write within its time. A longer list is exported in parts, a month at a time."""
ROWS_AT_ONCE = 5_000
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

Cell = str | int | bool | datetime | None


@dataclass(frozen=True)
class Column:
    """One column: its heading and what stands in it for a row."""

    heading: Any
    value: Callable[[Any], Any]


class Exported(NoDeleteAdmin):
    """A list that can be exported, with the right `export_<model>`."""

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
        """The rows of the list as it is searched and filtered; override to bring related rows along."""
        rows: QuerySet[Any] = self.get_changelist_instance(request).get_queryset(request)
        return rows

    def export(self, request: HttpRequest, kind: str) -> HttpResponse:
        """The file; a sentence and the list where it would be too long."""
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
            sentence = _("The list has more than %(most)s rows. Narrow it down, by day for instance.")
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
    """In parts, each a short statement, so that no long one holds up a vacuum.

    Between the first and the last that were found: PostgreSQL would else look for a day of long ago from the newest
    row downwards.
    """
    if not found["count"]:
        return
    ordered = rows.filter(pk__range=(found["first"], found["last"])).order_by("-pk")
    part = list(ordered[:ROWS_AT_ONCE])
    while part:
        yield from part
        part = list(ordered.filter(pk__lt=part[-1].pk)[:ROWS_AT_ONCE]) if len(part) == ROWS_AT_ONCE else []


def write_csv(headings: Sequence[str], lines: Iterator[Sequence[Any]]) -> tuple[bytes, int]:
    """The file and the number of its rows. It begins with the mark by which Excel knows UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(headings)
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007  # the last one is the number of rows
        values = map(_plain, line)
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in values])
    return b"\xef\xbb\xbf" + text.getvalue().encode(), count


def write_xlsx(headings: Sequence[str], lines: Iterator[Sequence[Any]]) -> tuple[bytes, int]:
    """The file and the number of its rows. Numbers stay numbers, times are the shop's."""
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
        # Neither format knows zones; the shop's is the one its staff live in.
        return timezone.localtime(value).replace(tzinfo=None, microsecond=0)
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _cell(sheet: Any, value: Cell) -> Any:
    if not isinstance(value, str):
        return value
    # Else a text that begins with "=" would be a formula; control characters have no place in the format.
    cell = WriteOnlyCell(sheet, value="".join(letter for letter in value if letter >= " " or letter in "\n\t"))
    cell.data_type = "s"
    return cell
