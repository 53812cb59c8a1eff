"""The broker's program: Apache Kafka as fetched by Maven (deploy/kafka/pom.xml), cached in `.local/kafka`."""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from commerce.embedded.children import PROJECT_ROOT

POM = PROJECT_ROOT / "deploy" / "kafka" / "pom.xml"
KEPT = PROJECT_ROOT / ".local" / "kafka"
OLDEST_JAVA = 17
FETCH_SECONDS = 300.0
UNAVAILABLE = 69
"""The exit code if this machine cannot run Kafka (EX_UNAVAILABLE)."""
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"


class KafkaUnavailable(Exception):
    """This machine cannot run the broker; the message names what is missing."""


def kafka_jars() -> Path:
    """The folder with the broker's jars; Maven only runs if the pom has changed.

    Raises KafkaUnavailable if Java is missing, or if Maven cannot download them.
    """
    _require_java()
    wanted = KEPT / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not wanted.exists():
        _fetch(wanted)
    return wanted


def java() -> str:
    """The command that runs Java. Raises KafkaUnavailable without one."""
    command = shutil.which("java")
    if command is None:
        raise KafkaUnavailable(f"Java {OLDEST_JAVA} or newer is needed for the Kafka broker, and no `java` was found.")
    return command


def _require_java() -> None:
    printed = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - a fixed command
    version = re.search(r'version "(?:1\.)?(\d+)', printed.stderr)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = (printed.stderr.splitlines() or ["nothing"])[0]
        raise KafkaUnavailable(f"Java {OLDEST_JAVA} or newer is needed for the Kafka broker; `java` is: {found}")


def _fetch(wanted: Path) -> None:
    """Download to a temporary folder and rename it when complete:

    a download may be interrupted, or run concurrently.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Maven is needed to fetch the Kafka broker, and no `mvn` was found.")
    KEPT.mkdir(parents=True, exist_ok=True)
    sys.stderr.write("Fetching Apache Kafka with Maven …\n")
    with tempfile.TemporaryDirectory(dir=KEPT) as unfinished:
        _copy_jars(maven, Path(unfinished) / "jars")
        for outdated in set(KEPT.glob("jars-*")) - {wanted}:
            shutil.rmtree(outdated)
        if not wanted.exists():
            (Path(unfinished) / "jars").rename(wanted)


def _copy_jars(maven: str, folder: Path) -> None:
    command = [maven, "--quiet", "--batch-mode", "--strict-checksums", "--no-transfer-progress", "--file", str(POM)]
    command += [_COPY, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS)  # noqa: S603 - a fixed command
    except subprocess.TimeoutExpired as slow:
        raise KafkaUnavailable(f"Maven did not bring the Kafka broker within {FETCH_SECONDS:.0f} s.") from slow
    if done.returncode != 0:
        reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
        raise KafkaUnavailable(f"Maven could not bring the Kafka broker: {reason}")


def main() -> None:
    """Print the folder of the jars; exit with UNAVAILABLE and a message if they are not available."""
    try:
        print(kafka_jars())
    except KafkaUnavailable as unavailable:
        sys.stderr.write(f"{unavailable}\n")
        sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    main()
