"""Parsing the lines of an import file, in English and Korean, and planning what each would do. No database access."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commerce.core.visible_text import validate_visible
from commerce.core.whole_numbers import whole_number
from commerce.staff_pages.uploads import UploadColumn, UploadedRow
from products.errors import OutOfStock, Shortage
from products.models import EDITABLE, ImportLine, LinePlan, Product
from products.rules import (
    HIGHEST_PRICE_WON,
    HIGHEST_PURCHASE_LIMIT,
    MOST_CHARACTERS_OF_A_NAME,
    MOST_UNITS,
    MOST_UNITS_AT_ONCE,
)

_NUMBER = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)")
_YES = {"true", "yes", "y", "1", "예", "네", "판매", "판매 중", "판매중"}
_NO_LIMIT = {"none", "no limit", "없음", "제한 없음"}
_NO = {"false", "no", "n", "0", "아니오", "아니요", "판매 중지", "판매중지"}


@dataclass(frozen=True)
class ImportColumn(UploadColumn):
    """A column of the import."""

    name: str
    read: Callable[[str], Any] = field(kw_only=True)
    """Parses a cell that is not empty. Raises _Wrong."""
    meaning: Promise = field(kw_only=True)
    """The hint beside the headings of an empty file."""


@dataclass(frozen=True)
class Rights:
    """The permissions of the file's sender."""

    add: bool
    change: bool
    adjust: bool


@dataclass
class ParsedLine:
    """A parsed line. `values` has only the fields that it sets; `product_id` None is a new product."""

    number: int
    product_id: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    stock_change: int = 0
    wrong: list[str] = field(default_factory=list)


class _Wrong(Exception):
    """A cell is invalid; the text is the message for staff."""


def parsed_lines(rows: Sequence[UploadedRow]) -> list[ParsedLine]:
    """Parse the rows. Rows that name the same product are all invalid."""
    lines = [_parsed(row) for row in rows]
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    for line in lines:
        if line.product_id is not None:
            numbers[line.product_id].append(line.number)
    for line in lines:
        same = numbers[line.product_id] if line.product_id is not None else []
        if len(same) > 1:
            shown = ", ".join(map(str, same[:10]))
            line.wrong.append(
                _("Product %(product)d is in lines %(lines)s.") % {"product": line.product_id, "lines": shown}
            )
    return lines


def planned(parsed: ParsedLine, products: Mapping[int, Product], rights: Rights) -> ImportLine:
    """The plan for a line. `products`: the existing products that the file names, by id."""
    line = ImportLine(number=parsed.number, product_id=parsed.product_id, stock_change=parsed.stock_change)
    product = products.get(parsed.product_id or 0)
    if parsed.product_id is None:
        line.plan, line.values = LinePlan.ADD, {"description": "", "is_active": True, **parsed.values}
        wrong = _wrong_with_new(parsed, rights)
    elif product is None:
        wrong = [_("There is no product %(product)d.") % {"product": parsed.product_id}]
    else:
        seen = {name: getattr(product, name) for name in (*EDITABLE, "stock")}
        line.seen = seen
        line.values = {name: value for name, value in parsed.values.items() if not _same(seen[name], value)}
        line.plan = LinePlan.CHANGE if line.values or line.stock_change else LinePlan.NOTHING
        wrong = _wrong_with_change(line, product, rights)
    # An invalid cell is a more useful message than a missing product.
    wrong = parsed.wrong or wrong
    if wrong:
        line.plan, line.message = LinePlan.WRONG, " ".join(wrong)
    return line


def _wrong_with_new(parsed: ParsedLine, rights: Rights) -> list[str]:
    wrong = []
    if not rights.add:
        wrong.append(_("You may not add products."))
    if "name" not in parsed.values:
        wrong.append(_("A new product needs a name."))
    if "price" not in parsed.values:
        wrong.append(_("A new product needs a price."))
    if parsed.stock_change < 0:
        wrong.append(_("A new product has no stock to remove."))
    return wrong


def _wrong_with_change(line: ImportLine, product: Product, rights: Rights) -> list[str]:
    wrong = []
    if line.values and not rights.change:
        wrong.append(_("You may not change products."))
    if line.stock_change and not rights.adjust:
        wrong.append(_("You may not adjust the stock."))
    if line.stock_change < 0 and product.available + line.stock_change < 0:
        wrong.append(OutOfStock([Shortage(product.pk, -line.stock_change, product.available, product.held)]).for_staff)
    if product.stock + line.stock_change > MOST_UNITS:
        wrong.append(_("The stock would be more than %(most)s.") % {"most": f"{MOST_UNITS:,}"})
    return wrong


def _same(old: Any, new: Any) -> bool:
    # Forms send CRLF, spreadsheets LF.
    return bool(old == new or (isinstance(old, str) and old.replace("\r\n", "\n").strip() == new.replace("\r\n", "\n")))


def _parsed(row: UploadedRow) -> ParsedLine:
    parsed = ParsedLine(row.number, wrong=list(row.wrong))
    for name, text in row.cells.items():
        if not text:
            continue
        try:
            value = _READ[name](text)
        except _Wrong as wrong:
            parsed.wrong.append(str(wrong))
            continue
        if name == "id":
            parsed.product_id = value
        elif name == "stock_change":
            parsed.stock_change = value
        else:
            parsed.values[name] = value
    return parsed


def _id(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise _Wrong(_("“%(cell)s” is not the number of a product.") % {"cell": text[:40]})
    return number


def _name(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise _Wrong(_("The name has several lines."))
    if len(text) > MOST_CHARACTERS_OF_A_NAME:
        raise _Wrong(_("The name has more than %(most)d characters.") % {"most": MOST_CHARACTERS_OF_A_NAME})
    return _visible(text)


def _visible(text: str) -> str:
    try:
        validate_visible(text)
    except ValidationError as error:
        raise _Wrong(" ".join(error.messages)) from error
    return text


def _price(text: str) -> int:
    number = _whole(re.sub(r"^[₩￦\\]\s*|\s*원$", "", text))
    if number is None or number < 0:
        raise _Wrong(_("“%(cell)s” is not a price in whole won.") % {"cell": text[:40]})
    if number > HIGHEST_PRICE_WON:
        raise _Wrong(_("The price is higher than %(most)s won.") % {"most": f"{HIGHEST_PRICE_WON:,}"})
    return number


def _is_active(text: str) -> bool:
    word = text.casefold()
    if word not in _YES | _NO:
        raise _Wrong(_("“%(cell)s” is neither yes nor no.") % {"cell": text[:40]})
    return word in _YES


def _purchase_limit(text: str) -> int | None:
    """An empty cell leaves the limit unchanged; the word for "none" removes it."""
    if text.casefold() in _NO_LIMIT:
        return None
    number = _whole(text)
    if number is None or not 1 <= number <= HIGHEST_PURCHASE_LIMIT:
        values = {"cell": text[:40], "most": f"{HIGHEST_PURCHASE_LIMIT:,}"}
        raise _Wrong(_("“%(cell)s” is not a purchase limit: write a number from 1 to %(most)s, or none.") % values)
    return number


def _stock_change(text: str) -> int:
    number = _whole(text.replace("−", "-"))
    if number is None:
        raise _Wrong(_("“%(cell)s” is not a number of units.") % {"cell": text[:40]})
    if abs(number) > MOST_UNITS_AT_ONCE:
        raise _Wrong(_("No more than %(most)s units at once.") % {"most": f"{MOST_UNITS_AT_ONCE:,}"})
    return number


def _whole(text: str) -> int | None:
    """Parse 12,300 or 12300; None if it is not a whole number or far too long."""
    return int(text.replace(",", "")) if len(text) <= 30 and _NUMBER.fullmatch(text) else None


COLUMNS = (
    ImportColumn(
        "id",
        ("id", "product number", "번호", "상품 번호"),
        read=_id,
        meaning=gettext_lazy("The number of a product; empty for a new one."),
    ),
    ImportColumn(
        "name",
        ("name", "product name", "이름", "상품명", "상품 이름"),
        read=_name,
        meaning=gettext_lazy("At most 200 characters. Required for a new product."),
    ),
    ImportColumn(
        "description",
        ("description", "설명", "상품 설명"),
        read=_visible,
        meaning=gettext_lazy("Any text."),
    ),
    ImportColumn(
        "price",
        ("price", "price (won)", "가격", "가격(원)", "가격 (원)"),
        read=_price,
        meaning=gettext_lazy("Whole won: 12300 or 12,300. A new product needs one."),
    ),
    ImportColumn(
        "is_active",
        ("is_active", "for sale", "판매 여부", "판매 중"),
        read=_is_active,
        meaning=gettext_lazy("Whether it is for sale: yes or no. A new product is, unless the file says no."),
    ),
    ImportColumn(
        "stock_change",
        ("stock_change", "units to add", "재고 증감", "재고 변경"),
        read=_stock_change,
        meaning=gettext_lazy(
            "Units to add (negative: to remove); for a new product, its stock. A file cannot set a stock."
        ),
    ),
    ImportColumn(
        "purchase_limit",
        ("purchase_limit", "purchase limit", "구매 한도", "1인당 구매 한도"),
        read=_purchase_limit,
        meaning=gettext_lazy("Units that one customer may buy in all, such as 2; none takes a limit off."),
    ),
)
"""The columns that a file may have. The first Korean heading is that of an empty file."""
IGNORED = UploadColumn(
    None, ("stock", "held for carts", "created at", "updated at", "재고", "장바구니 점유", "생성 시각", "수정 시각")
)
"""Columns of the product export that the import ignores."""
HEADINGS = {
    "en": tuple(column.name for column in COLUMNS),
    "ko": tuple(next(each for each in column.headings if not each.isascii()) for column in COLUMNS),
}
"""The headings of an empty file, by language."""
_READ = {column.name: column.read for column in COLUMNS}
