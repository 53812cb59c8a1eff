"""Alerts, dashboard and documents refer to existing metrics and alerts, and the documents to all of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from prometheus_client.metrics import MetricWrapperBase

from commerce.core import metrics
from commerce.monitoring.figures import ShopFigures

BASE_DIR = Path(settings.BASE_DIR)
PROMETHEUS = BASE_DIR / "deploy" / "monitoring" / "prometheus"
DASHBOARD = BASE_DIR / "deploy" / "monitoring" / "grafana" / "dashboards" / "shop.json"
OPERATIONS = BASE_DIR / "docs" / "operations.md"
MONITORING = BASE_DIR / "docs" / "monitoring.md"
NAME = re.compile(r"\bcommerce_[a-z0-9_]+")
OF_HISTOGRAMS = ("_bucket", "_sum", "_count")


def families() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, type and labels of each metric, as Prometheus shows it."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            [family] = metric.describe()
            yield family.name + ("_total" if family.type == "counter" else ""), family.type, metric._labelnames
    for gauge in ShopFigures().describe():
        yield gauge.name, gauge.type, tuple(gauge._labelnames)


def samples() -> set[str]:
    """The names of all samples in queries."""
    return {
        f"{name}{ending}"
        for name, kind, _labels in families()
        for ending in (OF_HISTOGRAMS if kind == "histogram" else ("",))
    }


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def expressions() -> Iterator[str]:
    for rule in alerts().values():
        yield rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for test in yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]:
        for series in test["input_series"]:
            yield series["series"]


def test_alerts_and_dashboard_use_existing_metrics() -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 25
    assert asked - samples() == set()


def test_they_use_existing_labels() -> None:
    labels = {name: set(of) | {"le", "instance", "job"} for name, _kind, of in families()}
    labels |= {f"{name}{ending}": of for name, of in list(labels.items()) for ending in OF_HISTOGRAMS}
    wrong = [
        (name, label)
        for expression in expressions()
        for name, matchers in re.findall(r"\b(commerce_[a-z0-9_]+)\{([^}]*)\}", expression)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers))
        if label not in labels[name]
    ]
    assert wrong == []


def test_the_document_has_a_row_for_each_metric_with_its_labels() -> None:
    documented = {
        name: tuple(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(commerce_\w+)` \| ([^|]*)\|", MONITORING.read_text(), re.MULTILINE)
    }
    assert documented == {name: labels for name, _kind, labels in families()}


@pytest.mark.parametrize("path", sorted((BASE_DIR / "docs").glob("*.md")), ids=lambda path: path.name)
def test_documents_name_only_existing_metrics(path: Path) -> None:
    known = samples() | {name for name, _kind, _labels in families()}
    assert {name for name in NAME.findall(path.read_text()) if "commerce_" in name} - known == set()


def test_each_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    fires: dict[bool, set[str]] = {True: set(), False: set()}
    for test in yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]:
        for asked in test["alert_rule_test"]:
            fires[bool(asked["exp_alerts"])].add(asked["alertname"])
    assert fires == {True: set(alerts()), False: set(alerts())}


def test_each_alert_has_a_section_in_the_documentation() -> None:
    assert set(re.findall(r"^### (\w+)$", _section("Alerts"), re.MULTILINE)) == set(alerts())
    assert f"{len(alerts())} alerts" in MONITORING.read_text()


def test_each_alert_has_a_severity() -> None:
    assert {rule["labels"]["severity"] for rule in alerts().values()} == {"page", "ticket"}
    assert all(rule["annotations"].keys() == {"summary"} for rule in alerts().values())


def test_each_fault_of_the_suite_has_a_row_with_its_symptoms() -> None:
    faults = set(re.findall(r"^\| (F\d+)[a-z]? \|", (BASE_DIR / "docs" / "faults.md").read_text(), re.MULTILINE))
    assert len(faults) > 20
    documented_rows = re.findall(r"^\| ([F0-9, ]+) \|", _section("Faults"), re.MULTILINE)
    assert {fault for row in documented_rows for fault in row.split(", ")} == faults


def test_prometheus_finds_every_process_that_serves_metrics() -> None:
    scraped = {
        (config["dns_sd_configs"][0]["names"][0], config["dns_sd_configs"][0]["port"])
        for config in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    }
    services = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]
    served = {("web", 8000)}
    for name, service in services.items():
        command = service.get("command", [])
        if "--metrics-port" in command:
            # On another address only the container's own health check could connect.
            assert command[command.index("--metrics-host") + 1] == "0.0.0.0", name  # noqa: S104  # of a container
            served.add((name, int(command[command.index("--metrics-port") + 1])))
    assert scraped == served
    assert len(served) == 8
    assert len({port for _, port in served}) == 8


def _section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", OPERATIONS.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]
