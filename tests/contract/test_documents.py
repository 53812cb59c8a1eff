"""Files, headings, commands, make targets, endpoints and code that the documents refer to exist."""

import re
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.urls import Resolver404, resolve

BASE_DIR = Path(settings.BASE_DIR)
DOCUMENTS = sorted(
    path.relative_to(BASE_DIR).as_posix() for pattern in ("*.md", "docs/**/*.md") for path in BASE_DIR.glob(pattern)
)
LINK = re.compile(r"\]\((?![a-z]+:)([^)\s]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"```.*?```|`([^`\n]+)`", re.DOTALL)
PATH_OF_API = re.compile(r"/(?:api|problems|livez|readyz|metrics|admin)\b[\w/{}-]*")


def text_of(document: str) -> str:
    return (BASE_DIR / document).read_text()


def anchors(path: Path) -> set[str]:
    """The anchors of the headings of a page."""
    headings = HEADING.findall(path.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def python_code() -> str:
    ours = ("commerce", "balances", "coupons", "orders", "products", "reservations", "stats", "tests", "benchmarks")
    return "\n".join(path.read_text() for folder in ours for path in (BASE_DIR / folder).rglob("*.py"))


def leads_nowhere(document: str, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (BASE_DIR / document).parent / name if name else BASE_DIR / document
    return not path.exists() or (anchor != "" and anchor not in anchors(path))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_have_existing_targets(document: str) -> None:
    assert [target for target in LINK.findall(text_of(document)) if leads_nowhere(document, target)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]{3,})", text_of(document)))
    assert named <= get_commands().keys() | {"compilemessages"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_exist(document: str) -> None:
    code = "\n".join(match.group(0) for match in CODE.finditer(text_of(document)))
    named = set(re.findall(r"(?<![\w-])make (?:-s )?([a-z][a-z-]+)", code))
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", ["README.md", "README.ko.md", "docs/api.md"])
def test_endpoints_exist(document: str) -> None:
    code = [match.group(1) or "" for match in CODE.finditer(text_of(document))]
    paths = {path for each in code for path in PATH_OF_API.findall(each)}
    assert len(paths) > 5
    unknown = []
    for path in paths:
        try:
            resolve(re.sub(r"\{\w+\}", "1", path))
        except Resolver404:
            unknown.append(path)
    assert not unknown


def test_the_tour_names_existing_code() -> None:
    names = [match.group(1) or "" for match in CODE.finditer(text_of("docs/tour.md"))]
    identifiers = {name.rpartition(".")[2] for name in names if re.fullmatch(r"[A-Za-z_]+(\.[A-Za-z_]+)*", name)}
    commands = {"COMMIT", "BEGIN"}
    assert [name for name in sorted(identifiers - commands) if not re.search(rf"\b{name}\b", python_code())] == []
    assert len(identifiers) > 10
