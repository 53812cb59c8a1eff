"""Names of tests fit on one line of a report."""

import ast
from pathlib import Path

from django.conf import settings

LONGEST = 70
FOLDERS = ("balances", "clients", "coupons", "orders", "products", "reservations", "stats", "tests")


def names_of_tests(source: str) -> list[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def test_have_at_most_70_characters() -> None:
    files = [path for folder in FOLDERS for path in Path(settings.BASE_DIR, folder).rglob("test_*.py")]
    names = {path: names_of_tests(path.read_text()) for path in files if "node_modules" not in path.parts}
    assert sum(map(len, names.values())) > 2_000
    too_long = {str(path): long for path, found in names.items() if (long := [n for n in found if len(n) > LONGEST])}
    assert too_long == {}


def test_a_name_of_71_characters_is_found() -> None:
    [name] = names_of_tests(f"class TestIt:\n    async def test_{'x' * 66}(self): ...")
    assert len(name) > LONGEST
