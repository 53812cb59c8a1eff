"""Mutation testing of the rules: `make mutants`.

mutmut changes one thing at a time in each `rules.py` and runs the tests of this folder. A change that no test notices
is a missing test, code that nobody needs, or a change without effect. Those without effect are in
`tests.rules.equivalent_mutants`; any other survivor fails the run, and so does a line of that list that fits none.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.rules.equivalent_mutants import EQUIVALENT

ROOT = Path(__file__).parents[2]
APPS = ("balances", "coupons", "orders", "products", "reservations")

# The tests need neither Django's settings nor a server. The rules have no unbounded loops, so no mutant hangs; the
# timeout is long, so that a busy machine does not cause one.
CONFIGURATION = f"""
[tool.mutmut]
source_paths = {[f"{app}/rules.py" for app in APPS]}
also_copy = {["commerce", "tests", *APPS]}
pytest_add_cli_args = ["--noconftest", "-p", "no:django", "-p", "no:randomly", "-p", "no:xdist"]
pytest_add_cli_args_test_selection = ["tests/rules"]
timeout_constant = 60.0
"""

Change = tuple[str, str, str]
"""The function, its line, and the changed line, without indentation."""


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut; returns its output, which is not shown because it redraws its progress. Raises SystemExit with it."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"mutmut {arguments[0]} failed:\n{done.stdout[-4_000:]}")
    return done.stdout


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A temporary folder with links to the code, so that mutmut writes nothing beside it."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        for linked in ("commerce", "tests", *APPS):
            (folder / linked).symlink_to(ROOT / linked)
        (folder / "pyproject.toml").write_text(CONFIGURATION)
        yield folder


def statuses(folder: Path) -> dict[str, str]:
    """The result of each mutant by name: `killed`, `survived`, `no tests`, `timeout` …"""
    lines = mutmut(folder, "results", "--all", "true")
    return dict(re.findall(r"^ +(\S+__mutmut_\d+): (.+)$", lines, re.MULTILINE))


def change(folder: Path, mutant: str) -> Change:
    """What a mutant changes. Unlike its number, it stays the same when other lines of the function change."""
    removed, added = [], []
    for line in mutmut(folder, "show", mutant).splitlines():
        if line.startswith("-") and not line.startswith("---"):
            removed.append(line[1:].strip())
        elif line.startswith("+") and not line.startswith("+++"):
            added.append(line[1:].strip())
    return function_of(mutant), " ".join(removed), " ".join(added)


def function_of(mutant: str) -> str:
    """`orders.rules.OrderState.refund` for `orders.rules.xǁOrderStateǁrefund__mutmut_7`."""
    module, _, function = mutant.rpartition("__mutmut_")[0].rpartition(".")
    return f"{module}.{function.removeprefix('x').removeprefix('_').strip('ǁ').replace('ǁ', '.')}"


def main() -> None:
    with working_folder() as folder:
        mutmut(folder, "run", "--max-children", str(os.cpu_count() or 1))
        found = statuses(folder)
        if not found:
            raise SystemExit("mutmut made no mutants.")
        survivors = [(change(folder, mutant), status) for mutant, status in found.items() if status != "killed"]
    unexplained = [(each, status) for each, status in survivors if each not in EQUIVALENT]
    stale = EQUIVALENT.keys() - {each for each, _status in survivors}
    for (function, line, instead), status in unexplained:
        print(f"{status}: {function}\n  - {line}\n  + {instead}")
    for function, line, instead in sorted(stale):
        print(f"In the list of equivalent mutants, but none survives: {function}\n  - {line}\n  + {instead}")
    killed, explained = len(found) - len(survivors), len(survivors) - len(unexplained)
    print(f"{len(found)} mutants: {killed} killed, {explained} without effect, {len(unexplained)} to look at.")
    if unexplained or stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
