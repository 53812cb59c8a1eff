"""Files of products: CSV and XLSX, read or refused with a message."""

import io
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from commerce.staff_pages.exports import write_csv
from commerce.staff_pages.formulas import harmless, restored
from commerce.staff_pages.uploads import MOST_ROWS, UploadedRow, UploadRefused, read_rows
from products.admin.lines import COLUMNS, HEADINGS, IGNORED

NOT_READABLE = "The file is neither CSV in UTF-8 or Korean (CP949) nor XLSX."
DAMAGED = "The XLSX file is damaged. Open it, save it again, and upload the new file."
TOO_LARGE = "The XLSX file is too large after decompression. Upload it in parts."
TOO_MANY = "The file has more than 5,000 rows. Upload it in parts."
HEAD = "id,name,price\n"


def read(content: bytes) -> list[UploadedRow]:
    return read_rows(content, (*COLUMNS, IGNORED))


def refusal_of(content: bytes) -> str:
    with pytest.raises(UploadRefused) as refusal:
        read(content)
    return str(refusal.value)


def xlsx(*rows: list[Any]) -> bytes:
    book = Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    return saved(book)


def saved(book: Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def with_part(content: bytes, name: str, changed: Callable[[bytes], bytes]) -> bytes:
    """The same file with one part replaced."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, changed(old.read(part)) if part == name else old.read(part))
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


class TestCsv:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("line_break", ["\n", "\r\n"])
    def test_is_read_as_spreadsheets_write_it(self, encoding: str, delimiter: str, line_break: str) -> None:
        text = line_break.join(["번호,이름,가격", "", '7,"만년필, F촉",￦49500', ",,"]).replace(",", delimiter)
        cells = {"id": "7", "name": f"만년필{delimiter} F촉", "price": "￦49500"}
        assert read(text.encode(encoding)) == [UploadedRow(3, cells)]

    def test_counts_a_multiline_cell_as_one_row(self) -> None:
        rows = read(b'name,description\nPen,"One\ntwo"\nInk,\n')
        assert [(row.number, row.cells["description"]) for row in rows] == [(2, "One\ntwo"), (3, "")]

    @pytest.mark.parametrize("language", ["en", "ko"])
    def test_has_headings_in_either_language_and_any_case(self, language: str) -> None:
        cells = {column.name: str(number) for number, column in enumerate(COLUMNS)}
        [row] = read((",".join(HEADINGS[language]).upper() + "\n" + ",".join(cells.values())).encode())
        assert row.cells == cells

    @pytest.mark.parametrize(
        "text",
        [
            "=1+1",
            "-5% off",
            "'=1+1",
            "'-5",
            "''@x",
            "'quoted'",
            "' =1",
            " =1",
            "\t=1",
            "'\tx",
            "＝1+1",
            "'＋82",
            "－5",
            "'＠x",
        ],
    )
    def test_is_read_as_it_was_exported(self, text: str) -> None:
        body, _count = write_csv(["name", "description"], iter([[text, "x"]]))
        [row] = read(body)
        assert (row.cells, row.wrong) == ({"name": text, "description": "x"}, ())

    @given(st.text(st.sampled_from("'=+-@＝＋－＠\t\r x"), max_size=6))
    def test_exports_contain_no_formulas_and_round_trip(self, text: str) -> None:
        assert not harmless(text).lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
        assert restored(harmless(text)) == text

    @pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize(
        ("first_lines", "number"),
        [([], 2), (["sep=;"], 2), (['"sep=;"'], 2), ([""], 3), (["", ";;"], 4)],
        ids=["nothing", "separator", "quoted separator", "blank line", "two blank lines"],
    )
    def test_accepts_a_bom_and_a_separator_line(self, line_break: str, first_lines: list[str], number: int) -> None:
        lines = [*first_lines, "id;name;price", "7;Pen, red, blue, green;1200", '8;"Ink; Paper; Pen; Cap";5']
        rows = read(line_break.join(lines).encode())
        assert rows == [
            UploadedRow(number, {"id": "7", "name": "Pen, red, blue, green", "price": "1200"}),
            UploadedRow(number + 1, {"id": "8", "name": "Ink; Paper; Pen; Cap", "price": "5"}),
        ]

    def test_detects_commas_among_semicolons(self) -> None:
        rows = read(b"id,name\r1,a;b;c;d\r2,e;f;g;h\r")
        assert [row.cells["name"] for row in rows] == ["a;b;c;d", "e;f;g;h"]

    @pytest.mark.parametrize(
        ("cells", "wrong"),
        [
            ('1,"=2+3",5', "“=2+3” is a formula; only values are read."),
            ('1,"=HYPERLINK(""http://a"")",5', '“=HYPERLINK("http://a")” is a formula; only values are read.'),
            (
                "1,Pen,12,300",
                "There are more cells than headings; a comma inside a cell needs quotation marks around it.",
            ),
            ("1,P\x07en,5", "A cell has an invalid character."),
            ("1,P\x00en,5", NOT_READABLE),
            (f"1,{'x' * 10_001},5", "A cell has more than 10,000 characters."),
        ],
    )
    def test_reports_unreadable_cells(self, cells: str, wrong: str) -> None:
        content = f"{HEAD}{cells}\n".encode()
        if wrong == NOT_READABLE:
            assert refusal_of(content) == NOT_READABLE
        else:
            [row] = read(content)
            assert list(row.wrong) == [wrong]


class TestXlsx:
    def test_reads_all_types_of_cells(self) -> None:
        content = xlsx(
            ["ID", "Name", "Price (won)", "For sale", "Stock"],
            [7, "만년필", 49_500.0, True, 3],
            [None, None, None, None, None],
            ["8", 12, "12,300", False, None],
        )
        assert read(content) == [
            UploadedRow(2, {"id": "7", "name": "만년필", "price": "49500", "is_active": "TRUE"}),
            UploadedRow(4, {"id": "8", "name": "12", "price": "12,300", "is_active": "FALSE"}),
        ]

    def test_reads_the_first_sheet(self) -> None:
        book = Workbook()
        for row in (["name"], ["Pen"]):
            book.worksheets[0].append(row)
        book.create_sheet().append(["secret"])
        assert [row.cells for row in read(saved(book))] == [{"name": "Pen"}]

    @pytest.mark.parametrize(
        ("cell", "wrong"),
        [
            ("=A1&A2", "“=A1&A2” is a formula; only values are read."),
            (date(2026, 3, 2), "“2026-03-02 00:00:00” is a date; write it as text."),
            ("#REF!", "“#REF!” is an error of the spreadsheet."),
        ],
    )
    def test_reports_unreadable_cells(self, cell: object, wrong: str) -> None:
        [row] = read(xlsx(["name", "price"], [cell, 5]))
        assert (row.cells["name"], list(row.wrong)) == ("", [wrong])

    def test_is_read_completely_despite_wrong_dimensions(self) -> None:
        content = xlsx(["name"], ["Pen"], ["Ink"])
        lying = with_part(content, SHEET, lambda part: part.replace(b'ref="A1:A3"', b'ref="A1"'))
        assert lying != content
        assert [row.cells["name"] for row in read(lying)] == ["Pen", "Ink"]

    def test_that_claims_a_billion_rows_is_refused(self) -> None:
        content = xlsx(["name"], ["Pen"])
        claiming = with_part(content, SHEET, lambda part: part.replace(b'<row r="2"', b'<row r="999999999"'))
        assert claiming != content
        assert refusal_of(claiming) == TOO_MANY

    def test_with_too_many_columns_is_refused(self) -> None:
        assert refusal_of(xlsx(["name"], ["x"] * 31)) == "The file has more than 30 columns."


def zip_of(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def unreadable_files() -> Iterator[Any]:
    good = xlsx(["name"], ["Pen"])
    entities = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]>'
    rows = "\n".join(f"Pen {number}" for number in range(MOST_ROWS + 1))
    yield pytest.param(b"", "The file is empty.", id="nothing")
    yield pytest.param(b"\n\n , \n", "The file is empty.", id="blank lines")
    yield pytest.param(HEAD.encode(), "There are no rows below the headings.", id="headings alone")
    yield pytest.param(xlsx(["name"]), "There are no rows below the headings.", id="headings of an XLSX alone")
    yield pytest.param(b"id,nmae,prise\n1,a,2", "These headings are not known: “nmae”, “prise”.", id="unknown headings")
    yield pytest.param("name,이름\na,b".encode(), "Two columns have the same heading.", id="a heading twice")
    yield pytest.param(
        b'name,price\n"Pen,5\n', "Line 2 cannot be read; look at its quotation marks.", id="an open quotation mark"
    )
    yield pytest.param(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", NOT_READABLE, id="a picture")
    yield pytest.param("name\nPen".encode("utf-16"), NOT_READABLE, id="UTF-16")
    yield pytest.param(b"name\n\xff\xfe\xfd", NOT_READABLE, id="no text")
    yield pytest.param(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "This is an old or a protected Excel file. Save it as XLSX without a password, or as CSV.",
        id="an XLS",
    )
    yield pytest.param(good[: len(good) // 2], DAMAGED, id="half an XLSX")
    yield pytest.param(zip_of({"word/document.xml": b"<document/>"}), DAMAGED, id="another kind of document")
    yield pytest.param(with_part(good, SHEET, lambda part: part[:-20]), DAMAGED, id="a broken sheet")
    yield pytest.param(with_part(good, SHEET, lambda part: entities + part), DAMAGED, id="entities")
    yield pytest.param(zip_of({"bomb": bytes(17 * 1024 * 1024)}), TOO_LARGE, id="a bomb")
    yield pytest.param(zip_of({str(number): b"" for number in range(201)}), DAMAGED, id="many parts")
    yield pytest.param(f"name\n{rows}".encode(), TOO_MANY, id="too many rows")
    yield pytest.param(b"name\nPen\n" + b"\n" * 2 * MOST_ROWS, TOO_MANY, id="too many blank rows")


@pytest.mark.parametrize(("content", "sentence"), list(unreadable_files()))
def test_an_unreadable_file_is_refused_with_a_message(content: bytes, sentence: str) -> None:
    with translation.override("en"):
        assert refusal_of(content) == sentence


def test_the_maximum_number_of_rows_is_read() -> None:
    assert len(read(b"name\n" + b"Pen\n" * MOST_ROWS)) == MOST_ROWS


def test_a_zip_bomb_with_a_false_size_is_limited() -> None:
    """The archive states a size of 10 bytes, with a matching checksum, and contains fifteen million."""
    big = bytes(15_555_555)
    lies = {len(big): 10, zlib.crc32(big): zlib.crc32(bytes(10))}
    bomb = zip_of({"xl/workbook.xml": big})
    for truth, lie in lies.items():
        assert bomb.count(truth.to_bytes(4, "little")) == 2
        bomb = bomb.replace(truth.to_bytes(4, "little"), lie.to_bytes(4, "little"))
    assert most_bytes_used(lambda: refusal_of(bomb)) < 3_000_000
    # The control: a reader that trusts the stated size reads all of it into memory.
    assert most_bytes_used(lambda: zipfile.ZipFile(io.BytesIO(bomb)).read("xl/workbook.xml")) > 15_000_000


def most_bytes_used(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
