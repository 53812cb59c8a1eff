"""The requirements are locked: every package with one version and the hashes of its files, the same in both files."""

import re
from pathlib import Path

import pytest
from django.conf import settings

BASE_DIR = Path(settings.BASE_DIR)
PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==([^\s;\\]+)")


def pins(name: str) -> dict[str, str]:
    """The version of each package in a file, by the normalized name of the lock files."""
    found = {}
    for line in (BASE_DIR / name).read_text().splitlines():
        if line and not line.startswith((" ", "#", "-")):
            match = PIN.match(line)
            assert match is not None, f"{name}: {line} has no version"
            found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def hashes(name: str) -> dict[str, set[str]]:
    text = (BASE_DIR / name).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    return {block.partition("==")[0]: set(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)) for block in blocks}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_requirements_are_locked_with_hashes(name: str) -> None:
    """`make lock` after an edit of an .in file."""
    asked, locked = pins(f"{name}.in"), pins(f"{name}.txt")
    assert len(asked) > 15
    assert asked.items() <= locked.items()
    assert min(len(known) for known in hashes(f"{name}.txt").values()) >= 1


def test_both_files_lock_the_same() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()
    of_the_shop, of_developers = hashes("requirements.txt"), hashes("requirements-dev.txt")
    assert {package: of_developers[package] for package in of_the_shop} == of_the_shop


def test_no_file_contains_a_package_index() -> None:
    for name in ("requirements.in", "requirements.txt", "requirements-dev.in", "requirements-dev.txt"):
        text = (BASE_DIR / name).read_text()
        assert "://" not in text
        assert "index" not in text.replace("importlib", "")


def test_packages_are_installed_by_their_hashes() -> None:
    assert "--require-hashes --requirement requirements-dev.txt" in (BASE_DIR / ".ci" / "venv").read_text()
