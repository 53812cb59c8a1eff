"""Every setting is in `deploy/env.example`, `docs/settings.md` and docker-compose.yml; and the READMEs are equal."""

import os
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from commerce.core.environment import SECRETS, file_variable
from tests.contract.settings_document import NOT_FOR_OPERATORS, all_settings, document

BASE_DIR = Path(settings.BASE_DIR)
EXAMPLE = BASE_DIR / "deploy" / "env.example"
PAGE = BASE_DIR / "docs" / "settings.md"
KOREAN_PAGE = BASE_DIR / "docs" / "settings.ko.md"
OF_THE_COMPOSE_FILE = {"POSTGRES_PASSWORD", "WEB_PORT", "BASE_IMAGE", "PROMETHEUS_PORT", "GRAFANA_PORT"}
SET_BY_THE_COMPOSE_FILE = {"DATABASE_URL", "REDIS_URL", "LOCK_REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS"}
"""Settings that docker-compose.yml sets, because it has its own servers."""
OF_ONE_SERVICE = {"WEB_ENDING_SECONDS", "PROMETHEUS_MULTIPROC_DIR"}
ANOTHER_VALUE = {"HTTPS", "BEHIND_PROXY", "NUM_PROXIES", "LOCK_REDIS_URL", "DATA_PLATFORM_SECRET", "ALLOWED_HOSTS"}
"""Settings whose example differs from the default: for the first start and the gateway, or computed."""
LINE = re.compile(r"^(?:# )?([A-Z][A-Z_]+)=(.*)$")


def example() -> dict[str, str]:
    """The values in the example, by name. Fails for a setting without a comment."""
    shown: dict[str, str] = {}
    before = ""
    for line in EXAMPLE.read_text().splitlines():
        if match := LINE.match(line):
            assert match[1] not in shown, f"{match[1]} is there twice"
            assert before.startswith("# "), f"{match[1]} has no line that says what it is"
            assert not LINE.match(before), f"{match[1]} has no line that says what it is"
            shown[match[1]] = match[2]
        before = line
    return shown


def test_the_example_names_every_setting_and_no_other() -> None:
    read = {each.name for each in all_settings()}
    assert len(read) > 60
    assert set(example()) - OF_THE_COMPOSE_FILE == read - NOT_FOR_OPERATORS


def test_the_example_shows_the_defaults() -> None:
    shown = example()
    differing = {
        each.name: (each.default, shown[each.name])
        for each in all_settings()
        if isinstance(each.default, str | int | float)
        and each.name not in NOT_FOR_OPERATORS | ANOTHER_VALUE
        and not _same(each.default, shown[each.name])
    }
    assert differing == {}


def _same(default: object, text: str) -> bool:
    if isinstance(default, bool):
        return text == str(default).lower()
    return float(text) == default if isinstance(default, int | float) else text == default


def test_the_compose_file_passes_every_setting_on() -> None:
    """A setting in .env that is not passed to a service would have no effect."""
    described = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    web = described["services"]["web"]["environment"]
    assert set(example()) - OF_THE_COMPOSE_FILE - set(web) == set()
    for name, value in web.items():
        if name not in SET_BY_THE_COMPOSE_FILE:
            assert value is None or str(value).startswith("${" + name), name
    assert set(described["x-shop"]["environment"]) == set(web) - OF_ONE_SERVICE


def test_the_page_is_generated_from_the_definitions() -> None:
    """`UPDATE_SETTINGS=1` writes it."""
    if os.environ.get("UPDATE_SETTINGS"):
        PAGE.write_text(document())
    assert PAGE.read_text() == document()


def test_every_setting_has_a_meaning() -> None:
    assert [each.name for each in all_settings() if not each.meaning] == []


def test_the_korean_page_has_every_setting_and_no_other() -> None:
    rows = [line.split(" | ")[0] for line in KOREAN_PAGE.read_text().splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)]
    assert sorted(named) == sorted({each.name for each in all_settings()} - NOT_FOR_OPERATORS)


def lines_of_tables(readme: str, heading: str) -> list[str]:
    section = re.search(rf"^## {heading}\n(.*?)^## ", readme, re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    return [line for line in section[1].splitlines() if line.startswith("| ")]


SAME = {"Endpoints": ("엔드포인트", 2), "Commands": ("명령", 1)}
"""By heading: the Korean heading, and the number of leading columns that are equal in both languages."""


@pytest.mark.parametrize("heading", SAME)
def test_both_readmes_have_the_same_rows(heading: str) -> None:
    korean, columns = SAME[heading]
    english_rows, korean_rows = (
        [line.split(" | ")[:columns] for line in lines_of_tables((BASE_DIR / name).read_text(), title)[1:]]
        for name, title in (("README.md", heading), ("README.ko.md", korean))
    )
    assert english_rows == korean_rows


def test_both_readmes_have_the_same_sections_commands_and_links() -> None:
    def shape(name: str) -> tuple[list[str], list[str], list[str]]:
        text = (BASE_DIR / name).read_text()
        blocks = [re.sub(r"\s+# .*", "", block) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
        links = sorted({*re.findall(r"\]\(([^)]+)\)", text)} - {"README.md", "README.ko.md"})
        return re.findall(r"^(#+) ", text, re.MULTILINE), blocks, links

    assert shape("README.md") == shape("README.ko.md")


@pytest.mark.parametrize("name", ["docs/settings.md", "docs/settings.ko.md", "docs/servers.md"])
def test_documents_for_operators_name_every_setting(name: str) -> None:
    text = (BASE_DIR / name).read_text()
    read = {each.name for each in all_settings()} - NOT_FOR_OPERATORS
    assert {name for name in read if f"`{name}`" not in text} == set()


NOT_SETTINGS = {
    "DEMO_ORDERS": "of `make run`",
    "LOCAL_DIR": "of `make run`",
    "HYPOTHESIS_PROFILE": "of `make test`",
    "UPDATE_EXAMPLES": "of `make test`",
    "UPDATE_SETTINGS": "of `make test`",
    "BASE_IMAGE": "of docker-compose.yml",
    "BACK_OFFICE_PATH": "a name in the code",
    "DATA_OF": "a name in the code",
    "OF_THE_BACK_OFFICE": "a name in the code",
    "OPTIONAL_JSON": "a name in the code",
    "UPDATE_PROBLEMS": "of `make test`",
    "OTEL_EXPORTER_OTLP_HEADERS": "of OpenTelemetry",
    "OTEL_TRACES_SAMPLER": "of OpenTelemetry",
    "SASL_PLAINTEXT": "a value",
    "SASL_SSL": "a value",
}
PAGES = sorted(path.relative_to(BASE_DIR).as_posix() for at in ("*.md", "docs/*.md") for path in BASE_DIR.glob(at))
OF_CODE = {"docs/scaling.md"}
"""Contains names of SQL statements, which look like settings."""


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OF_CODE])
def test_documents_name_only_existing_settings(page: str) -> None:
    known = {each.name for each in all_settings()} | OF_THE_COMPOSE_FILE | NOT_SETTINGS.keys()
    known |= {file_variable(name) for name in SECRETS}
    named = set(re.findall(r"`([A-Z][A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", (BASE_DIR / page).read_text()))
    assert named - known == set()


def test_every_exception_is_used_by_a_document() -> None:
    text = "".join((BASE_DIR / page).read_text() for page in PAGES)
    assert {name for name in NOT_SETTINGS if f"`{name}" not in text} == set()
