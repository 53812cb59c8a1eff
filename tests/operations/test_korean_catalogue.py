"""The Korean catalogue: complete, up to date, and with the same placeholders as the English text."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import unfold
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils import translation

from commerce.api import problem_catalogue
from commerce.core.errors import DomainError
from tests.shopper import Shopper

APPS = ("balances", "commerce", "coupons", "orders", "products", "reservations", "stats")
KEYWORDS = {**DEFAULT_KEYWORDS, "_noop": None, "gettext_lazy": None, "gettext_noop": None, "ngettext_lazy": (1, 2)}
NOT_SHOWN = ("tests", "migrations", "__pycache__")
HANGUL = re.compile("[가-힣]")
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[+ -]?\d*[sd]|{\w*}")
FOLDER = Path(settings.BASE_DIR) / "commerce" / "locale" / "ko" / "LC_MESSAGES"
# Messages of django-unfold.
FOLDERS = (FOLDER, Path(settings.BASE_DIR) / "commerce" / "back_office" / "locale" / "ko" / "LC_MESSAGES")


def messages_in_python() -> Iterator[tuple[str, ...]]:
    for app in APPS:
        found = extract_from_dir(
            Path(settings.BASE_DIR) / app,
            method_map=[("**.py", "python")],
            keywords=KEYWORDS,
            directory_filter=lambda folder: Path(folder).name not in NOT_SHOWN,
        )
        for _, _, message, _, _ in found:
            yield forms(message)


def messages_in_templates() -> Iterator[tuple[str, ...]]:
    for app in APPS:
        for template in (Path(settings.BASE_DIR) / app).rglob("*.html"):
            text = template.read_text()
            yield from ((groups[1],) for groups in re.findall(r"""{% translate (["'])(.+?)\1(?: as \w+)? %}""", text))
            for block in re.findall(r"{% blocktranslate.*?%}(.+?){% endblocktranslate %}", text):
                whole = re.sub(r"{{ (\w+) }}", r"%(\1)s", block.replace("{% plural %}", "\0").replace("%", "%%"))
                yield tuple(whole.split("\0"))


def meanings_of_problems() -> Iterator[tuple[str, ...]]:
    """The docstrings of refusals, which `/problems` shows."""
    with translation.override("en"):
        for problem in problem_catalogue.catalogue():
            yield from ((str(meaning),) for meaning in problem.meanings)


def catalogue(folder: Path = FOLDER) -> Catalog:
    with (folder / "django.po").open("rb") as file:
        return read_po(file, locale="ko", domain="django")


def entries(folder: Path = FOLDER) -> list[Message]:
    return [message for message in catalogue(folder) if message.id]


def forms(value: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """The text, or its singular and plural."""
    assert value is not None
    return (value,) if isinstance(value, str) else tuple(value)


def in_korean(message: tuple[str, ...]) -> str:
    with translation.override("ko"):
        return translation.ngettext(*message, 2) if len(message) == 2 else translation.gettext(*message)


def test_every_message_is_translated() -> None:
    used = {*messages_in_python(), *messages_in_templates(), *meanings_of_problems()}
    known = ("Out of stock", "Adjust stock", "%(stock)s in stock.", "There is no resource at this path.")
    assert used.issuperset((text,) for text in known)
    assert [message for message in used if not HANGUL.search(in_korean(message))] == []


def test_every_translation_is_used() -> None:
    used = {*messages_in_python(), *messages_in_templates(), *meanings_of_problems()}
    assert [message.id for message in entries() if forms(message.id) not in used] == []


def messages_of_the_library() -> Iterator[tuple[str, ...]]:
    """The messages of the installed parts of django-unfold; of plurals only the singular."""
    root = Path(unfold.__file__).parent
    for folder in (root, root / "contrib" / "filters"):
        for _, _, message, _, _ in extract_from_dir(
            folder,
            method_map=[("*.py", "python"), ("templatetags/*.py", "python")],
            keywords=KEYWORDS,
            directory_filter=lambda inner: Path(inner).name not in NOT_SHOWN,
        ):
            yield forms(message)
        for template in (folder / "templates").rglob("*.html"):
            text = template.read_text()
            yield from ((groups[1],) for groups in re.findall(r"""{% trans(?:late)? (["'])(.+?)\1""", text))


def test_every_message_of_the_library_is_translated() -> None:
    used = set(messages_of_the_library())
    assert used.issuperset((text,) for text in ("Reset filters", "Type to search", "Date"))
    assert [text for text in used if not HANGUL.search(in_korean(text))] == []


def test_every_refusal_has_a_korean_title() -> None:
    refusals = list(all_refusals(DomainError))
    assert len(refusals) >= 15
    for refusal in refusals:
        with translation.override("ko"):
            assert HANGUL.search(str(refusal.title)), refusal
        with translation.override("en"):
            assert not HANGUL.search(str(refusal.title)), refusal


def all_refusals(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    if hasattr(kind, "title"):
        yield kind
    for narrower in kind.__subclasses__():
        yield from all_refusals(narrower)


@pytest.mark.parametrize("folder", FOLDERS)
def test_placeholders_are_the_same_in_both_languages(folder: Path) -> None:
    for message in entries(folder):
        for korean in forms(message.string):
            assert korean
            assert not message.fuzzy
            for english in forms(message.id):
                assert sorted(PLACEHOLDER.findall(korean)) == sorted(PLACEHOLDER.findall(english)), message.id


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_compiled_catalogue_is_up_to_date(folder: Path) -> None:
    with (folder / "django.mo").open("rb") as file:
        compiled = read_mo(file)
    assert {forms(message.id): forms(message.string) for message in compiled if message.id} == {
        forms(message.id): forms(message.string) for message in entries(folder)
    }


@pytest.mark.django_db
def test_the_api_answers_in_the_requested_language() -> None:
    korean = Shopper(language="ko").get("/api/products/999")
    assert korean.headers["Content-Language"] == "ko"
    assert (korean.json["code"], korean.json["title"]) == ("product_not_found", "상품 없음")
    assert korean.json["detail"] == "판매 중인 상품 중에 번호가 999인 것이 없습니다."
    english = Shopper(language="en").get("/api/products/999")
    assert english.headers["Content-Language"] == "en"
    assert (english.json["code"], english.json["title"]) == ("product_not_found", "Product not found")
