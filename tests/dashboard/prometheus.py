"""A Prometheus that scrapes a running shop every second, with the alerts of `deploy/monitoring`.

Contains its process and queries. The program is Debian's, found or fetched by `.ci/prometheus`.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from commerce.embedded.children import PROJECT_ROOT, Child, ChildSpec
from commerce.embedded.ports import LOOPBACK, free_port

INTERVAL_SECONDS = 1
START_SECONDS = 30.0
ALERTS = PROJECT_ROOT / "deploy" / "monitoring" / "prometheus" / "alerts.yml"


class QueryRefused(Exception):
    """Prometheus cannot evaluate an expression; the message is its own."""


@dataclass(frozen=True)
class Series:
    """One time series of a result."""

    labels: Mapping[str, str]
    values: Sequence[float]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{LOOPBACK}:{port}/api/v1"

    def is_ready(self) -> bool:
        try:
            return requests.get(self._url.replace("/api/v1", "/-/ready"), timeout=5).ok
        except requests.RequestException:
            return False

    def query(self, expression: str, *, seconds: int) -> list[Series]:
        """The series of an expression during the last `seconds`, one value a second. Raises QueryRefused."""
        now = time.time()
        asked = {"query": expression, "start": str(now - seconds), "end": str(now), "step": str(INTERVAL_SECONDS)}
        return [
            Series(found["metric"], [float(value) for _, value in found["values"]])
            for found in self._get("query_range", asked)["result"]
        ]

    def targets(self) -> list[Mapping[str, Any]]:
        """Every scraped process, with the `health` and `lastError` of its last scrape."""
        return list(self._get("targets", {"state": "active"})["activeTargets"])

    def rules(self) -> list[Mapping[str, Any]]:
        """Every alert, with the `health` and `lastError` of its last evaluation."""
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def _get(self, path: str, asked: Mapping[str, str]) -> Any:
        answer = requests.get(f"{self._url}/{path}", params=asked, timeout=10).json()
        if answer["status"] != "success":
            raise QueryRefused(answer["error"])
        return answer["data"]


@contextmanager
def prometheus_of(folder: Path, jobs: Mapping[str, str]) -> Iterator[Prometheus]:
    """A Prometheus that scrapes these addresses, `host:port` by job. `folder` gets its files and its log."""
    program = subprocess.check_output([PROJECT_ROOT / ".ci" / "prometheus", "prometheus"], text=True).strip()  # noqa: S603  # ours
    port = free_port()
    configuration = {
        "global": {"scrape_interval": f"{INTERVAL_SECONDS}s", "evaluation_interval": f"{INTERVAL_SECONDS}s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in jobs.items()
        ],
    }
    path = folder / "prometheus.yml"
    # JSON is also YAML.
    path.write_text(json.dumps(configuration))
    child = Child(
        ChildSpec(
            name="prometheus",
            command=[
                *(program, f"--config.file={path}", f"--storage.tsdb.path={folder / 'prometheus'}"),
                *(f"--web.listen-address={LOOPBACK}:{port}", "--log.level=warn"),
            ],
            log_path=folder / "prometheus.log",
        )
    )
    running = Prometheus(port)
    child.start()
    try:
        child.wait_until_ready(running.is_ready, timeout_seconds=START_SECONDS)
        yield running
    finally:
        child.stop()
