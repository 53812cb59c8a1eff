"""The tables of problems and limits in `docs/api.md` match the code."""

import os
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import translation

from commerce.api.problem_catalogue import Problem, catalogue
from commerce.api.schema_problems import COMPONENTS, own_fields

PAGE = Path(settings.BASE_DIR) / "docs" / "api.md"
HEADING = "| code | status | retry | meaning | fields of its own |"


def shown(fragment: dict[str, Any], components: dict[str, Any]) -> str:
    """The type of a field as text."""
    if "$ref" in fragment:
        return shown(components[fragment["$ref"].removeprefix(COMPONENTS)], components)
    if "enum" in fragment:
        return ", ".join(f"`{value}`".replace("True", "true") for value in fragment["enum"])
    if fragment["type"] == "array":
        return f"list of {shown(fragment['items'], components)}"
    if fragment["type"] == "object":
        return "{" + ", ".join(f"`{name}`: {shown(each, components)}" for name, each in fields_of(fragment)) + "}"
    return str(fragment["type"])


def fields_of(shape: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The fields in the order of a response if it is known."""
    return sorted(shape["properties"].items(), key=lambda field: shape["required"].index(field[0]))


def own_fields_of(problem: Problem) -> str:
    own = own_fields(problem)
    fields = sorted(own["properties"].items())
    return "; ".join(f"`{name}`: {shown(fragment, own['components'])}" for name, fragment in fields)


def rows() -> list[str]:
    with translation.override("en"):
        return [
            f"| `{problem.code}` | {problem.status} | {'yes' if problem.may_pass else ''} | {problem.meanings[0]}"
            f" | {own_fields_of(problem)} |"
            for problem in catalogue()
        ]


def test_its_table_of_problems_is_the_catalogue() -> None:
    lines = PAGE.read_text().splitlines()
    begin = lines.index(HEADING) + 2
    written = lines[begin : lines.index("", begin)]
    if os.environ.get("UPDATE_PROBLEMS"):
        lines[begin : begin + len(written)] = written = rows()
        PAGE.write_text("\n".join(lines) + "\n")
    assert written == rows(), f"UPDATE_PROBLEMS=1 make test ARGS={Path(__file__).relative_to(settings.BASE_DIR)}"


def test_its_table_of_limits_shows_the_defaults() -> None:
    """The defaults are read from the example file, which another test compares with the settings."""
    example = (Path(settings.BASE_DIR) / "deploy" / "env.example").read_text()
    defaults = dict(re.findall(r"^# ([A-Z_]+)=([0-9]+)$", example, re.MULTILINE))
    documented = re.findall(r"([0-9]+)[a-z ]*\(`([A-Z_]+)`\)", PAGE.read_text())
    assert {name for _number, name in documented} >= {"WRITES_AT_ONCE", "WRITES_PER_SECOND", "COUPON_ISSUES_AT_ONCE",
        "COUPON_ISSUES_PER_SECOND", "LOGINS_PER_MINUTE", "LOGIN_FAILURES_PER_MINUTE", "LOGIN_FAILURES_PER_HOUR",
        "ACCESS_TOKEN_MINUTES", "REFRESH_TOKEN_DAYS"}  # fmt: skip
    assert {name: number for number, name in documented} == {name: defaults[name] for _number, name in documented}
