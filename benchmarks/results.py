"""The results file benchmarks/results/latest.json: all values, the machine and the versions."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.line import Outcome
from commerce.embedded.children import PROJECT_ROOT

FOLDER = Path(__file__).with_name("results")
_PACKAGES = (
    "Django",
    "djangorestframework",
    "uvicorn",
    "granian",
    "psycopg",
    "redis",
    "hiredis",
    "orjson",
    "confluent-kafka",
)


def as_json(outcomes: Sequence[Outcome], about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the file."""
    return {**about, "lines": [outcome.as_json() for outcome in outcomes]}


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    unfinished.replace(path)


def surroundings() -> dict[str, Any]:
    """The time, the machine and the version of the code."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "processor": _processor(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in _PACKAGES}},
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _git(*arguments: str) -> str:
    """The output of git; empty if there is no git or no repository."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program
            ["git", *arguments],  # noqa: S607 - whichever git is installed
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()
