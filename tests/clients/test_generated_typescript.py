"""What openapi-typescript makes of the schema: a program that the compiler accepts shops on a running shop."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import RunningShop
from tests.documented import schema

HERE = Path(__file__).parent / "typescript"
INSTALLED = HERE / "node_modules" / ".package-lock.json"


def run(*command: str | Path, folder: Path, shop: str = "") -> str:
    done = subprocess.run(  # noqa: S603  # our own commands
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, "SHOP": shop},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """The program beside the types that were generated for it."""
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund", "--silent", folder=HERE)
        INSTALLED.touch()
    for name in ("shop.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "openapi.json").write_text(json.dumps(schema()))
    return tmp_path


@pytest.mark.skipif(shutil.which("npm") is None, reason="THE TYPESCRIPT CLIENT NEEDS npm.")
@pytest.mark.django_db(transaction=True)
def test_a_typed_program_shops(workshop: Path, running_shop: RunningShop) -> None:
    tools = HERE / "node_modules" / ".bin"
    run(tools / "openapi-typescript", "openapi.json", "--output", "schema.ts", folder=workshop)
    run(tools / "tsc", folder=workshop)
    printed = run("node", "built/shop.js", folder=workshop, shop=running_shop.url)
    assert json.loads(printed) == {"refunds": [2_000]}
