"""The structure of the Grafana dashboard. Its queries are run by `tests/dashboard`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

GRAFANA = Path(settings.BASE_DIR) / "deploy" / "monitoring" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "shop.json").read_text())
COLUMNS = 24
UNITS = {"short", "s", "ops", "reqps", "percentunit"}
"""Ids of Grafana's units. An unknown one would be shown as text behind the value."""
BUILT_IN = {"__rate_interval", "__interval", "__range"}
CALCULATIONS = {"lastNotNull", "last", "max", "min", "mean", "sum"}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ROWS = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]

each_panel = pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    }


def nodes(value: object) -> Iterator[dict[str, Any]]:
    """Every object within the dashboard, at all depths."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from nodes(each)


def test_the_dashboard_can_be_provisioned() -> None:
    assert DASHBOARD["uid"] == "commerce-shop"
    assert DASHBOARD["title"] == "Shop"
    # The number that Grafana 11 and later write for this format; they convert older ones.
    assert DASHBOARD["schemaVersion"] >= 39
    [provider] = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "shop.yml").read_text())["providers"]
    services = yaml.safe_load((Path(settings.BASE_DIR) / "docker-compose.yml").read_text())["services"]
    assert f"./deploy/monitoring/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


def test_ids_and_titles_are_unique() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    titles = [panel["title"] for panel in PANELS]
    assert len(titles) == len(set(titles)) > 20
    assert all(titles)


def test_panels_do_not_overlap_and_leave_no_gaps() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert not cells(panel) & taken, panel["title"]
        taken |= cells(panel)
    lowest = max(y for _, y in taken)
    assert taken == {(x, y) for x in range(COLUMNS) for y in range(lowest + 1)}


def test_rows_are_expanded_and_above_their_panels() -> None:
    """The panels of a collapsed row would be within it."""
    assert all((row["collapsed"], row["panels"], row["gridPos"]["w"]) == (False, [], COLUMNS) for row in ROWS)
    heights = [panel["gridPos"]["y"] for panel in DASHBOARD["panels"]]
    assert heights == sorted(heights)


def test_every_datasource_is_the_provisioned_one() -> None:
    [source] = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    named = [node["datasource"] for node in nodes(DASHBOARD["panels"]) if "datasource" in node]
    assert len(named) > 2 * len(PANELS) - 1
    assert all(each == {"type": source["type"], "uid": source["uid"]} for each in named)
    assert all("datasource" in panel for panel in PANELS)


@each_panel
def test_a_panel_is_of_a_known_type_and_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in ("stat", "timeseries")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert panel["fieldConfig"]["overrides"] == []
    if panel["type"] == "stat":
        assert set(panel["options"]["reduceOptions"]["calcs"]) <= CALCULATIONS
        steps = defaults["thresholds"]["steps"]
        # The first one is the colour of everything below the second.
        assert steps[0]["value"] is None
        limits = [step["value"] for step in steps[1:]]
        assert limits == sorted(limits) != []


@each_panel
def test_queries_have_a_letter_each_and_use_defined_variables(panel: dict[str, Any]) -> None:
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == list("ABCD"[: len(letters)])
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | BUILT_IN
    for target in panel["targets"]:
        assert set(re.findall(r"\$\{?(\w+)", target["expr"])) <= defined
        # A range of fixed length shows gaps or too much as soon as somebody zooms.
        assert set(re.findall(r"\[([^\]]+)\]", target["expr"])) <= {"$__rate_interval"}


@each_panel
def test_a_legend_names_the_labels_of_its_query(panel: dict[str, Any]) -> None:
    if panel["type"] == "stat":
        assert len(panel["targets"]) == 1
        return
    for target in panel["targets"]:
        assert target["legendFormat"]
        outermost = re.match(
            r"(?:sum|max|min) by \(([^)]*)\)|histogram_quantile\([\d.]+, sum by \(([^)]*)\)", target["expr"]
        )
        labels = {
            label.strip() for group in (outermost.groups() if outermost else ()) if group for label in group.split(",")
        }
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) == labels - {"le"}
