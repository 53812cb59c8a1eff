"""`docs/api.md` says of problems what the shop says."""

from pathlib import Path

from django.conf import settings
from django.utils import translation

from commerce.http.problem_pages import catalogue

PAGE = Path(settings.BASE_DIR) / "docs" / "api.md"


def rows() -> list[str]:
    with translation.override("en"):
        return [
            f"| `{problem.code}` | {problem.status} | {'yes' if problem.may_pass else ''} | {problem.meanings[0]} |"
            for problem in catalogue()
        ]


def test_its_table_of_problems_is_the_catalogue() -> None:
    lines = PAGE.read_text().splitlines()
    begin = lines.index("| code | status | retry | meaning |") + 2
    written = lines[begin : lines.index("", begin)]
    assert written == rows(), "The table should be:\n" + "\n".join(rows())
