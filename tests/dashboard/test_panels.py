"""Every expression of the dashboard and of the alerts, evaluated by Prometheus on the metrics of a running shop."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboard.conftest import SECONDS
from tests.dashboard.prometheus import Prometheus, Series
from tests.monitoring.test_files import DASHBOARD

RATE_INTERVAL = f"{SECONDS * 2}s"
"""What Grafana would put in place of `$__rate_interval`."""


def targets() -> Iterator[Any]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield pytest.param(target, id=f"{panel['title']}, {target['refId']}")


def series_of(prometheus: Prometheus, expression: str) -> list[Series]:
    return prometheus.query(expression.replace("$__rate_interval", RATE_INTERVAL), seconds=SECONDS)


@pytest.mark.parametrize("target", list(targets()))
def test_a_panel_has_data(prometheus: Prometheus, target: dict[str, Any]) -> None:
    found = series_of(prometheus, target["expr"])
    assert [series for series in found if any(map(math.isfinite, series.values))]
    # A label that a series does not have would be shown as it is written.
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]):
        assert all(series.labels.get(label) for series in found), label


def test_every_process_is_scraped(prometheus: Prometheus) -> None:
    found = {target["labels"]["job"]: (target["health"], target["lastError"]) for target in prometheus.targets()}
    assert found == dict.fromkeys(("commerce-web", "commerce-relay", "commerce-consumer"), ("up", ""))


def test_every_alert_can_be_evaluated(prometheus: Prometheus) -> None:
    rules = prometheus.rules()
    assert len(rules) > 20
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
