"""One run of schemathesis against a web server: its configuration, its result and its counts.

Contains the command line. The checks are in `schemathesis.toml` and `checks.py`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.web_server import WebServer

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
LIMIT_SECONDS = 3_600
"""A run that hangs fails; a long one is given its time."""


@dataclass(frozen=True)
class SchemaRun:
    """The exit code of a run (0: no failures), its output and its report."""

    exit_code: int
    printed: str
    report: dict[str, Any]

    @property
    def failures(self) -> set[str]:
        """The kinds of failures it found."""
        return {failure["type"] for failure in self.report["failures"]}

    def accepted(self) -> set[str]:
        """The operations with at least one successful response, such as `GET /api/products`."""
        return {
            operation
            for operation, phases in self.report["valid_rates"].items()
            if any(counts["accepted"] for counts in phases.values())
        }


def run_schemathesis(
    web: WebServer,
    folder: Path,
    *,
    tokens: Mapping[str, str],
    identity: str,
    dictionaries: Mapping[str, Sequence[int | str]],
    arguments: Sequence[str],
) -> SchemaRun:
    """Fuzz the server as `identity`, one of those with a token."""
    identities, report = folder / "identities.json", folder / "report.json"
    entries = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    identities.write_text(json.dumps({"auth": entries}))
    configuration = folder / "schemathesis.toml"
    configuration.write_text(
        CONFIGURATION.read_text()
        # Neither customer may see the other's data. The third identity is staff, who may see everything.
        + f'\n[auth.wfc]\npath = "{identities}"\nuser = "{identity}"\npeers = ["mina", "juno"]\n'
        + "".join(
            f"\n[dictionaries.{name}]\nvalues = {json.dumps(list(values))}\n" for name, values in dictionaries.items()
        )
    )
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(configuration)),
        *("run", f"{web.url}/api/schema", "--checks", "all", "--no-color"),
        *("--report", "json", "--report-json-path", str(report)),
        *arguments,
    ]
    # Coverage of the caller and its options are not the business of another program.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(  # noqa: S603  # our own command
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    printed = done.stdout + done.stderr
    assert report.exists(), printed
    return SchemaRun(done.returncode, printed, json.loads(report.read_text()))
