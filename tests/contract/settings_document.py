"""`docs/settings.md`, generated from the definitions in `commerce/settings.py`."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

SETTINGS = Path(settings.BASE_DIR) / "commerce" / "settings.py"
NOT_FOR_OPERATORS = {"WEB_ENDING_FILE"}
"""The web server sets it for its own processes."""
_SECTION = re.compile(r"^# --- (.+?) -+$", re.MULTILINE)
_LINK = re.compile(r"docs/([\w-]+\.md(?:#[\w-]+)?)")
_HEAD = """# Settings

Generated from [commerce/settings.py](../commerce/settings.py). Each setting is read from the environment variable of
its name. A secret may also be the content of a file: `SECRET_KEY_FILE=/run/secrets/secret_key`
([keys.md](keys.md#secrets-in-files)). [deploy/env.example](../deploy/env.example) has a line for each setting. In
Korean: [settings.ko.md](settings.ko.md).
"""


@dataclass(frozen=True)
class Setting:
    """One environment variable. `default` None: computed, or there is none."""

    name: str
    line: int
    default: object
    values: str
    """The other choices, or the bounds."""
    meaning: str


def all_settings() -> Iterator[Setting]:
    """All environment variables that the settings read, in the order of the file."""
    tree = ast.parse(SETTINGS.read_text())
    for statement, following in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and (kind := _kind_of(call)):
                yield _setting(call, kind, _text_of(following))


def _kind_of(call: ast.Call) -> str:
    """The method that reads the setting, such as `integer`; empty for other calls."""
    if not call.args or not isinstance(call.args[0], ast.Constant):
        return ""
    function = ast.unparse(call.func)
    if function == "required":
        return function
    return function.removeprefix("env.") if function.startswith("env.") and function != "env.db_url_config" else ""


def _setting(call: ast.Call, kind: str, meaning: str) -> Setting:
    named = {each.arg: each.value for each in call.keywords}
    given = call.args[1] if kind in {"integer", "number", "choice"} else named.get("default")
    default = given.value if isinstance(given, ast.Constant) else None
    if isinstance(given, ast.List):
        default = ",".join(ast.literal_eval(given))
    values = []
    if kind == "choice":
        values = [f"`{ast.literal_eval(each)}`" for each in call.args[2:]]
    for bound, sign in (("least", "≥"), ("above", ">"), ("most", "≤")):
        if isinstance(number := named.get(bound), ast.Constant):
            values.append(f"{sign} {ast.literal_eval(number):,}")
    return Setting(str(ast.literal_eval(call.args[0])), call.lineno, default, ", ".join(values), meaning)


def _text_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return ""


def document() -> str:
    """The text of `docs/settings.md`."""
    source = SETTINGS.read_text()
    sections = {source.count("\n", 0, match.start()) + 1: match[1] for match in _SECTION.finditer(source)}
    lines = [_HEAD]
    shown = ""
    for setting in sorted(all_settings(), key=lambda each: each.line):
        if setting.name in NOT_FOR_OPERATORS:
            continue
        section = sections[max(line for line in sections if line < setting.line)]
        if section != shown:
            lines += [f"\n## {section}\n", "| variable | default | values | meaning |", "|---|---|---|---|"]
            shown = section
        meaning = _LINK.sub(r"[\1](\1)", setting.meaning)
        lines.append(f"| `{setting.name}` | {_shown(setting.default)} | {setting.values or '–'} | {meaning} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int | float):
        return f"{default:,.10g}"
    return f"`{default}`" if default else "–"
