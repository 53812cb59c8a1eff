"""run.json connects other commands with the stack, but only while it is running."""

import json
import os
import secrets
import signal
import stat
from pathlib import Path

import pytest

from commerce.embedded.environment import (
    RunFile,
    embedded_environment,
    is_running,
    kept_secret,
    local_dir,
    sole_stack,
    write_run_file,
)
from commerce.embedded.errors import AlreadyRunning
from tests.embedded.processes import LIMIT_SECONDS, printed_by_python, start_python, wait_for

VARIABLES = {"DATABASE_URL": "postgresql://somewhere/else", "SECRET_KEY": "s3cret"}
RUN = RunFile(
    web="http://127.0.0.1:8000",
    database_url="postgresql://somewhere/else",
    redis_url="redis://127.0.0.1:1/0",
    kafka_bootstrap_servers="127.0.0.1:2",
    data_platform_url="http://127.0.0.1:3/orders",
    pid=1,
    environment=VARIABLES,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path))
    return tmp_path


def test_a_running_stack_gives_its_variables(folder: Path) -> None:
    with sole_stack(folder):
        write_run_file(folder, RUN)
        assert embedded_environment() == VARIABLES


def test_run_json_has_the_documented_names_and_is_its_owners_alone(folder: Path) -> None:
    with sole_stack(folder):
        write_run_file(folder, RUN)
        path = folder / "run.json"

        assert json.loads(path.read_text()) == {
            "web": "http://127.0.0.1:8000",
            "database_url": "postgresql://somewhere/else",
            "redis_url": "redis://127.0.0.1:1/0",
            "kafka_bootstrap_servers": "127.0.0.1:2",
            "data_platform_url": "http://127.0.0.1:3/orders",
            "pid": 1,
            "environment": VARIABLES,
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [entry.name for entry in folder.iterdir() if entry.name.startswith(".")] == []


def test_without_a_stack_there_are_no_variables(folder: Path) -> None:
    assert embedded_environment() == {}


def test_a_stack_that_has_stopped_leaves_no_run_json(folder: Path) -> None:
    with sole_stack(folder):
        write_run_file(folder, RUN)

    assert not (folder / "run.json").exists()
    assert embedded_environment() == {}


def test_run_json_of_a_killed_stack_is_ignored(folder: Path) -> None:
    code = f"""
import pathlib, time
from commerce.embedded.environment import sole_stack, write_run_file
from tests.embedded.test_environment import RUN
with sole_stack(pathlib.Path({str(folder)!r})):
    write_run_file(pathlib.Path({str(folder)!r}), RUN)
    time.sleep(600)
"""
    with start_python(code) as stack:
        wait_for((folder / "run.json").exists)
        assert embedded_environment() == VARIABLES

        stack.send_signal(signal.SIGKILL)
        stack.wait(timeout=LIMIT_SECONDS)

    assert (folder / "run.json").exists()
    assert embedded_environment() == {}


def test_a_new_stack_clears_what_a_killed_one_left(folder: Path) -> None:
    write_run_file(folder, RUN)

    with sole_stack(folder):
        assert not (folder / "run.json").exists()
        assert embedded_environment() == {}


def test_two_stacks_do_not_share_a_folder(folder: Path) -> None:
    with sole_stack(folder), pytest.raises(AlreadyRunning, match="A stack is already running in "), sole_stack(folder):
        pytest.fail("two stacks run in one folder")

    assert not is_running(folder)


def test_two_stacks_in_two_folders_run_side_by_side(folder: Path) -> None:
    with sole_stack(folder / "one"), sole_stack(folder / "two"):
        assert is_running(folder / "one")
        assert is_running(folder / "two")


def test_a_secret_is_created_once_and_readable_by_its_owner_only(folder: Path) -> None:
    first = kept_secret(folder, "secret_key")

    assert len(first) == 64
    assert kept_secret(folder, "secret_key") == first
    assert kept_secret(folder, "other_secret") != first
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600


def test_the_folder_is_relative_to_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    project = Path(__file__).resolve().parents[2]

    monkeypatch.setenv("LOCAL_DIR", "")
    assert local_dir() == project / ".local"
    monkeypatch.setenv("LOCAL_DIR", ".local2")
    assert local_dir() == project / ".local2"
    monkeypatch.setenv("LOCAL_DIR", "/somewhere")
    assert local_dir() == Path("/somewhere")


STACKS_KEY, OWN_KEY = secrets.token_urlsafe(40), secrets.token_urlsafe(40)


def test_commands_take_their_settings_from_the_running_stack(folder: Path) -> None:
    known = {
        "SECRET_KEY": STACKS_KEY,
        "DATABASE_URL": "postgresql://shop:pw@127.0.0.1:5/shop",
        "DATA_PLATFORM_SECRET": "the key that signs calls",
        "DATA_PLATFORM_URL": "http://127.0.0.1:6/orders",
    }
    bare = {name: value for name, value in os.environ.items() if name not in {*known, "DJANGO_SETTINGS_MODULE"}}
    code = (
        "from commerce import settings as s; print(s.SECRET_KEY, s.DATABASES['default']['PORT'], s.DATA_PLATFORM_URL)"
    )
    with sole_stack(folder):
        write_run_file(folder, RunFile(**{**RUN.__dict__, "environment": known}))
        printed = printed_by_python(code, bare)
        own = printed_by_python(code, {**bare, **known, "SECRET_KEY": OWN_KEY})
        (folder / "own_key").write_text(OWN_KEY)
        own_in_a_file = printed_by_python(code, {**bare, "SECRET_KEY_FILE": str(folder / "own_key")})

    assert printed.split() == [STACKS_KEY, "5", "http://127.0.0.1:6/orders"]
    assert own.split()[0] == own_in_a_file.split()[0] == OWN_KEY
