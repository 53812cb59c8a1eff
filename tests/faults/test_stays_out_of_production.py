"""Failpoints do not exist in production: the product never imports them, and the image does not contain them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from tests.faults.entry import FOLDER, PATCHES, ROLE, WORKERS

ROOT = Path(settings.BASE_DIR)
ROOMS = ("balances", "commerce", "coupons", "orders", "products", "stats")


def product_files() -> list[Path]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return [ROOT / "manage.py", *(path for path in files if "tests" not in path.relative_to(ROOT).parts)]


def imported_by(path: Path) -> Iterator[str]:
    """Every module in an import statement, or in a string that could be an argument of `import_string`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("tests."):
            yield node.value


def test_no_module_of_the_product_knows_the_tests() -> None:
    files = product_files()
    assert len(files) > 100
    knowing = [str(path) for path in files for name in imported_by(path) if name.split(".")[0] == "tests"]
    assert knowing == []


def test_the_search_finds_an_import_where_there_is_one() -> None:
    assert "tests.faults.seams" in set(imported_by(ROOT / "tests" / "faults" / "entry.py"))


def test_no_module_of_the_product_asks_for_the_harness_variables() -> None:
    names = (FOLDER, ROLE, WORKERS, PATCHES)
    assert [str(path) for path in product_files() for name in names if name in path.read_text()] == []


def test_the_image_is_built_without_the_tests() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"tests", "**/tests"} <= set(ignored)
    assert not any(line.startswith("!") for line in ignored)
    assert "tests.faults" not in (ROOT / "deploy" / "Dockerfile").read_text()
