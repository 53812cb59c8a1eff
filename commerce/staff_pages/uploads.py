"""Reading uploaded tables: CSV or XLSX, detected by the file's content, with limits. Formulas are refused."""

import csv
import io
import logging
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from openpyxl import load_workbook
from unfold.widgets import UnfoldAdminFileFieldWidget

from commerce.core.errors import Refused
from commerce.core.text import normal
from commerce.staff_pages.forms import StaffForm
from commerce.staff_pages.formulas import restored

logger = logging.getLogger(__name__)
T = TypeVar("T", bound=Callable[..., Any])

MOST_BYTES = 2 * 1024 * 1024
MOST_ROWS = 5_000
MOST_COLUMNS = 30
MOST_CHARACTERS = 10_000
"""The maximum length of a cell."""
_MOST_LINES = 2 * MOST_ROWS
"""The maximum number of lines, empty ones included: a spreadsheet may claim a billion of them."""
_MOST_UNPACKED_BYTES = 16 * 1024 * 1024
_MOST_PARTS = 200
_PIECE_BYTES = 64 * 1024
_ENVELOPE_BYTES = 64 * 1024
"""The size of a request body besides the file."""

_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_DAMAGED = gettext_noop("The XLSX file is damaged. Open it, save it again, and upload the new file.")
_FORMULA = gettext_noop("“%(cell)s” is a formula; only values are read.")
_NO_VALUES = {
    "f": _FORMULA,
    "e": gettext_noop("“%(cell)s” is an error of the spreadsheet."),
    "d": gettext_noop("“%(cell)s” is a date; write it as text."),
}
"""Error messages by cell type in XLSX."""

_NOT_FOR_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]|[\ud800-\udfff]")
# Excel reads the separator from a first line `sep=`.
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|\t])"?(\r\n|\r|\n|$)', re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")


class UploadRefused(Refused):
    """The file cannot be read."""

    code = "upload_refused"
    title = gettext_lazy("The file cannot be read")

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    @property
    def detail(self) -> str | Promise:
        return self.sentence


@dataclass(frozen=True)
class UploadColumn:
    """A known column with its accepted headings; `name` None: the column is allowed but ignored."""

    name: str | None
    headings: tuple[str, ...]


@dataclass(frozen=True)
class UploadedRow:
    """A non-empty row. `number`: the row number as in a spreadsheet, where the headings are row 1."""

    number: int
    cells: Mapping[str, str]
    wrong: Sequence[str] = field(default=())
    """Messages about unreadable cells."""


class UploadForm(StaffForm):
    """The form of an upload."""

    file = forms.FileField(
        label=gettext_lazy("file"),
        max_length=200,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx"}),
        help_text=gettext_lazy("CSV or XLSX, at most 2 MB and 5,000 rows."),
    )

    def clean_file(self) -> "UploadedFile[Any]":
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            raise forms.ValidationError(_("The file is larger than 2 MB."), code="too_large")
        return file


def takes_upload(view: T) -> T:
    """Decorator of views that accept uploads; other views refuse request bodies of that size."""
    view.most_upload_bytes = MOST_BYTES + _ENVELOPE_BYTES  # type: ignore[attr-defined]  # a mark on a function
    return view


def read_rows(content: bytes, columns: Sequence[UploadColumn]) -> list[UploadedRow]:
    """The non-empty rows of a file, in order. Raises UploadRefused."""
    lines = _xlsx_lines(content) if content.startswith(_ZIP) else _csv_lines(content)
    number, headings = next(((number, cells) for number, cells in lines if any(cells)), (0, []))
    if not number:
        raise UploadRefused(_("The file is empty."))
    names = _names_of(headings, columns)
    rows: list[UploadedRow] = []
    for number, cells in lines:
        if number > _MOST_LINES or len(rows) > MOST_ROWS:
            break
        if any(cells):
            rows.append(_row(number, cells, names))
    if len(rows) > MOST_ROWS or number > _MOST_LINES:
        raise UploadRefused(_("The file has more than %(most)s rows. Upload it in parts.") % {"most": f"{MOST_ROWS:,}"})
    if not rows:
        raise UploadRefused(_("There are no rows below the headings."))
    return rows


class _Unreadable(str):
    """An unreadable cell, with its error message."""

    __slots__ = ()


def _names_of(headings: Sequence[str], columns: Sequence[UploadColumn]) -> list[str | None]:
    """The column's name for each heading; None for ignored columns."""
    known = {_folded(heading): column.name for column in columns for heading in column.headings}
    while headings and not headings[-1]:
        headings = headings[:-1]
    unknown = [heading for heading in headings if _folded(heading) not in known]
    if unknown:
        shown = ", ".join(f"“{heading[:40]}”" for heading in unknown[:5])
        raise UploadRefused(_("These headings are not known: %(headings)s.") % {"headings": shown})
    names = [known[_folded(heading)] for heading in headings]
    read = [name for name in names if name is not None]
    if len(read) > len(set(read)):
        raise UploadRefused(_("Two columns have the same heading."))
    return names


def _folded(heading: str) -> str:
    return re.sub(r"[\s_]+", " ", heading).strip().casefold()


def _row(number: int, cells: Sequence[str], names: Sequence[str | None]) -> UploadedRow:
    read = {name: cell for name, cell in zip(names, cells, strict=False) if name is not None}
    wrong = [str(cell) for cell in read.values() if isinstance(cell, _Unreadable)]
    if any(cells[len(names) :]):
        wrong.append(_("There are more cells than headings; a comma inside a cell needs quotation marks around it."))
    texts = {name: "" if isinstance(cell, _Unreadable) else cell for name, cell in read.items()}
    return UploadedRow(number, texts, tuple(wrong))


def _text(text: str) -> str:
    text = normal(text.strip())
    if len(text) > MOST_CHARACTERS:
        return _Unreadable(_("A cell has more than %(most)s characters.") % {"most": f"{MOST_CHARACTERS:,}"})
    if _NOT_FOR_TEXT.search(text):
        return _Unreadable(_("A cell has an invalid character."))
    return text


# --- CSV --------------------------------------------------------------------------------------------------------------


def _csv_lines(content: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(content)
    stated = _SEPARATOR_LINE.match(text)
    if stated is not None:
        # Spreadsheets do not count this line.
        delimiter, text = stated[1], text[stated.end() :]
    else:
        first = next((line for line in _LINE_END.split(text) if line.strip(" ,;\t")), "")
        delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, [_csv_cell(cell) for cell in cells]
    except csv.Error as error:
        sentence = _("Line %(line)d cannot be read; look at its quotation marks.") % {"line": reader.line_num}
        raise UploadRefused(sentence) from error


def _csv_cell(text: str) -> str:
    text = _text(text)
    if text.startswith("="):
        return _Unreadable(_(_FORMULA) % {"cell": text[:40]})
    return text if isinstance(text, _Unreadable) else restored(text)


def _decoded(content: bytes) -> str:
    """Decode as UTF-8, or as CP949, which Korean Excel writes. Raises UploadRefused."""
    if content.startswith(_OLD_EXCEL):
        raise UploadRefused(
            _("This is an old or a protected Excel file. Save it as XLSX without a password, or as CSV.")
        )
    if b"\x00" not in content:
        for encoding in ("utf-8-sig", "cp949"):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                continue
    raise UploadRefused(_("The file is neither CSV in UTF-8 or Korean (CP949) nor XLSX."))


# --- XLSX -------------------------------------------------------------------------------------------------------------


def _xlsx_lines(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The first sheet."""
    unpacked = _unpacked(content)
    try:
        book = load_workbook(unpacked, read_only=True, keep_links=False)
        sheet = book.worksheets[0]
        # The file's stated dimensions may be wrong, and rows would be skipped.
        sheet.reset_dimensions()
        rows = sheet.iter_rows(max_col=MOST_COLUMNS + 1)
        for number, cells in enumerate(rows, start=1):
            line = [_xlsx_cell(cell) for cell in cells]
            while line and not line[-1]:
                line.pop()
            if len(line) > MOST_COLUMNS:
                raise UploadRefused(_("The file has more than %(most)d columns.") % {"most": MOST_COLUMNS})
            yield number, line
    except UploadRefused:
        raise
    except Exception as error:
        # An invalid file can raise any kind of error anywhere in the library.
        logger.info("An upload is no XLSX: %r", error)
        raise UploadRefused(_(_DAMAGED)) from error


def _unpacked(content: bytes) -> io.BytesIO:
    """The same archive stored without compression, with the size checked while decompressing.

    The sizes stated in an archive may be wrong, and the library relies on them. Raises UploadRefused.
    """
    plain = io.BytesIO()
    left = _MOST_UNPACKED_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(plain, "w") as archive:
            names = packed.namelist()
            if len(names) > min(_MOST_PARTS, len(set(names))):
                raise UploadRefused(_(_DAMAGED))
            for part in packed.infolist():
                unpacked = _part(packed, part, left)
                left -= len(unpacked)
                archive.writestr(part.filename, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UploadRefused(_(_DAMAGED)) from error
    plain.seek(0)
    return plain


def _part(packed: zipfile.ZipFile, part: zipfile.ZipInfo, most_bytes: int) -> bytes:
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UploadRefused(_(_DAMAGED))
    pieces: list[bytes] = []
    with packed.open(part) as stream:
        while piece := stream.read(_PIECE_BYTES):
            pieces.append(piece)
            most_bytes -= len(piece)
            if most_bytes < 0:
                raise UploadRefused(_("The XLSX file is too large after decompression. Upload it in parts."))
    unpacked = b"".join(pieces)
    # Legitimate spreadsheets declare no XML entities.
    if b"<!DOCTYPE" in unpacked:
        raise UploadRefused(_(_DAMAGED))
    return unpacked


def _xlsx_cell(cell: Any) -> str:
    value, kind = cell.value, getattr(cell, "data_type", "n")
    if value is None:
        return ""
    if kind in _NO_VALUES:
        return _Unreadable(_(_NO_VALUES[kind]) % {"cell": str(value)[:40]})
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return _text(str(value))
