"""`manage.py quickstart` explains in one sentence why it cannot start, before it starts anything."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from commerce.embedded.environment import sole_stack
from commerce.embedded.ports import LOOPBACK

NOT_GIVEN = (
    "DATABASE_URL",
    "REDIS_URL",
    "KAFKA_BOOTSTRAP_SERVERS",
    "DATA_PLATFORM_URL",
    "DATA_PLATFORM_SECRET",
    "SECRET_KEY",
)


def quickstart(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command without any settings in the environment."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_GIVEN}
    return subprocess.run(
        [sys.executable, "manage.py", "quickstart"],
        env={**environment, "LOCAL_DIR": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_used_port_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        done = quickstart(tmp_path, PORT=str(port))

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"127.0.0.1:{port} is already in use. Stop what listens there, or choose another port, "
        f"for example: make run PORT={port + 1}\n"
    )
    assert not (tmp_path / "postgres").exists()


def test_a_second_stack_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with sole_stack(tmp_path):
        done = quickstart(tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"A stack is already running in {tmp_path}. ")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "http"}, "PORT must be a number from 1 to 65535, not 'http'.\n"),
        ({"PORT": "0"}, "PORT must be a number from 1 to 65535, not '0'.\n"),
        ({"WEB_WORKERS": "1000"}, "WEB_WORKERS must be a number from 1 to 64, not '1000'.\n"),
        (
            {"DATA_PLATFORM_URL": "http://127.0.0.1:1/"},
            "DATA_PLATFORM_SECRET must be set to the key that signs calls to DATA_PLATFORM_URL.\n",
        ),
    ],
)
def test_an_unusable_setting_is_named(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    done = quickstart(tmp_path, **variables)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


def test_help_names_the_variables_that_are_honoured() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "quickstart", "--help"], capture_output=True, text=True, check=True, timeout=60
    )

    for name in ("PORT", "LOCAL_DIR", "DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "DATA_PLATFORM_URL"):
        assert name in done.stdout
