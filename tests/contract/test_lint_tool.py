"""`tools/lint-openapi/lint` without npm: it prints a warning, or fails if it is required."""

import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

TOOL = Path(settings.BASE_DIR) / "tools" / "lint-openapi" / "lint"


@pytest.mark.parametrize(("required", "exit_code"), [("", 0), ("required", 1)])
def test_without_npm(tmp_path: Path, required: str, exit_code: int) -> None:
    shell, dirname = shutil.which("bash"), shutil.which("dirname")
    assert shell
    assert dirname
    (tmp_path / "dirname").symlink_to(dirname)
    done = subprocess.run(  # noqa: S603  # our own script
        [shell, str(TOOL), "openapi.json"],
        env={"PATH": str(tmp_path), "LINT_OPENAPI": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code
    assert "THE API DOCUMENTS WERE NOT LINTED" in done.stdout
