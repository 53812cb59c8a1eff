"""Key rotation as in docs/keys.md: signatures of an old key are accepted while it is listed, and refused afterwards."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from runpy import run_path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings as project_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from balances.models import User
from commerce.api.authentication import Tokens
from commerce.api.tokens import TokenKeys, token_backend
from commerce.core.environment import SECRETS, file_variable
from tests.back_office.staff import Staff
from tests.factories import UserFactory, charged
from tests.outbox.conftest import own_sinks, partner  # noqa: F401  # fixtures
from tests.outbox.partner import Partner
from tests.outbox.test_data_platform_sink import message
from tests.security.test_settings import environment
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

BASE_DIR = Path(project_settings.BASE_DIR)
OLD = "oldkdMl2hQ7RzYfBw0JtXc9vNs4uEGaP3Ki6LOyTb1ZrWFxC"
NEW = "newkVp8sDq3AxUeHn5Lw1BmRj7CtYz0FgKo9IiMbTS2dQvEX"
PASSWORD = "right horse"
NAMES = (
    *("SECRET_KEY", "SECRET_KEY_FALLBACKS", "JWT_SIGNING_KEY", "JWT_SIGNING_KEY_FALLBACKS"),
    *("DATA_PLATFORM_SECRET", "DATA_PLATFORM_SECRET_FALLBACKS"),
)


def steps(heading: str) -> list[dict[str, str]]:
    """The settings of each block below a heading of docs/keys.md."""
    page = (BASE_DIR / "docs" / "keys.md").read_text()
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^ +```\n(.*?)^ +```", section, re.DOTALL | re.MULTILINE)
    return [
        dict(line.strip().replace("<old>", OLD).replace("<new>", NEW).split("=", 1) for line in block.splitlines())
        for block in blocks
    ]


def read(variables: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a process with these variables and no others."""
    with patch.dict(os.environ, environment(**variables), clear=True):
        return run_path(str(BASE_DIR / "commerce" / "settings.py"))


@pytest.fixture
def restart(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Set the keys of this process as after a start with these variables."""

    def with_keys(variables: Mapping[str, str]) -> None:
        known = read(variables)
        for name in NAMES:
            setattr(settings, name, known[name])
        keys = [known["JWT_SIGNING_KEY"], *known["JWT_SIGNING_KEY_FALLBACKS"]]
        monkeypatch.setattr(token_backend, "keys", TokenKeys.of(keys))

    return with_keys


@pytest.fixture
def user() -> User:
    return UserFactory(username="jimin", password=PASSWORD, balance=5_000)


def logged_in() -> Tokens:
    answer = Shopper().post("/api/auth/token", {"username": "jimin", "password": PASSWORD})
    assert answer.status == 200
    return Tokens(**answer.json)


def accepts(tokens: Tokens, user: User) -> tuple[int, int]:
    """The statuses of requests with the access token and the refresh token."""
    return (
        Shopper(access=tokens.access).get(f"/api/balance/{user.pk}").status,
        Shopper().post("/api/auth/token/refresh", {"refresh": tokens.refresh}).status,
    )


@pytest.mark.parametrize("heading", ["JWT_SIGNING_KEY", "SECRET_KEY"])
def test_tokens_are_accepted_until_their_key_is_removed(
    heading: str, user: User, restart: Callable[[Mapping[str, str]], None]
) -> None:
    announced, changed, finished = steps(heading)
    restart({heading: OLD})
    old = logged_in()
    assert accepts(old, user) == (200, 200)

    restart(announced)
    assert accepts(old, user) == (200, 200)
    old_of_step_1 = logged_in()

    restart(changed)
    assert accepts(old, user) == accepts(old_of_step_1, user) == (200, 200)
    new = logged_in()
    # A server that is still at step 1 accepts what one at step 2 signed.
    restart(announced)
    assert accepts(new, user) == (200, 200)
    restart(changed)
    assert accepts(new, user) == (200, 200)

    # The tokens were verified and cached; those of the old key are refused anyway.
    restart(finished)
    assert accepts(old, user) == accepts(old_of_step_1, user) == (401, 401)
    assert accepts(new, user) == (200, 200)


def test_tokens_with_their_own_key_outlive_the_secret_key(
    user: User, restart: Callable[[Mapping[str, str]], None]
) -> None:
    own = {"JWT_SIGNING_KEY": "own8" + OLD[4:]}
    restart({"SECRET_KEY": OLD, **own})
    old = logged_in()
    announced, changed, finished = steps("SECRET_KEY")
    for step in (announced, changed):
        restart({**step, **own})
        assert accepts(old, user) == (200, 200)
    restart({**finished, **own})
    # The password hash in a refresh token is keyed with SECRET_KEY.
    assert accepts(old, user) == (200, 401)


def test_sessions_and_cursors_outlive_a_change_of_the_secret_key(
    user: User, restart: Callable[[Mapping[str, str]], None]
) -> None:
    announced, changed, finished = steps("SECRET_KEY")
    own = {"JWT_SIGNING_KEY": "own8" + OLD[4:]}
    restart({"SECRET_KEY": OLD, **own})
    charged(user), charged(user)
    shopper = Shopper(access=logged_in().access)
    next_page = shopper.get("/api/users/balance/history?pageSize=1").json["next"].partition("/api/")[2]
    staff, idle = Staff(superuser=True), Staff(superuser=True)
    for step in (announced, changed):
        restart({**step, **own})
        assert is_in(staff.client)
        assert shopper.get(f"/api/{next_page}").status == 200
    restart({**finished, **own})
    # The page in step 2 signed the session with the new key; other sessions have ended.
    assert is_in(staff.client)
    assert not is_in(idle.client)
    assert shopper.get(f"/api/{next_page}").outcome == (400, "validation_error")


def is_in(client: Client) -> bool:
    return bool(client.get("/admin/").status_code == 200)


def test_the_data_platform_may_change_its_secret_between_the_steps(
    restart: Callable[[Mapping[str, str]], None],
    partner: Partner,  # noqa: F811  # a fixture
) -> None:
    from commerce.outbox.sinks.data_platform import DataPlatformSink

    is_from_the_shop = documented_check()
    both, only_new = steps("DATA_PLATFORM_SECRET")

    def believed_with() -> list[bool]:
        partner.calls.clear()
        assert len(DataPlatformSink().deliver([message()])) == 1
        [call] = partner.calls
        return [is_from_the_shop(call.headers["X-Signature"], call.body, secret) for secret in (OLD, NEW)]

    restart({"DATA_PLATFORM_SECRET": OLD})
    assert believed_with() == [True, False]
    restart(both)
    assert believed_with() == [True, True]
    # A receiver that parses the header into a mapping keeps the last `v1`.
    [call] = partner.calls
    assert call.headers["X-Signature"].split(",v1=")[-1] == only_signature(OLD, call.headers["X-Signature"], call.body)
    restart(only_new)
    assert believed_with() == [False, True]


def documented_check() -> Callable[[str, bytes, str], bool]:
    page = (BASE_DIR / "docs" / "data-platform.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    documented: dict[str, Any] = {}
    exec(code, documented)  # noqa: S102  # the page's own example
    check: Callable[[str, bytes, str], bool] = documented["is_from_the_shop"]
    return check


def only_signature(secret: str, header: str, body: bytes) -> str:
    from commerce.outbox.sinks.data_platform import signature

    sent_at = int(header.partition(",")[0].removeprefix("t="))
    return signature([secret], body, sent_at=sent_at).partition(",v1=")[2]


def test_the_stand_in_accepts_a_call_with_two_signatures() -> None:
    from commerce.embedded.sink import BadSignature, verify_signature
    from commerce.outbox.sinks.data_platform import signature

    header = signature([NEW, OLD], b"{}", sent_at=1_000)
    for secret in (NEW, OLD):
        verify_signature(header, b"{}", secret=secret, now=1_000)
    with pytest.raises(BadSignature):
        verify_signature(header, b"{}", secret="another", now=1_000)


# --- Where secrets come from ------------------------------------------------------------------------------------------


def refusal(**variables: str) -> str:
    try:
        read(variables)
    except ImproperlyConfigured as refused:
        return str(refused)
    return ""


VALUES = {
    "SECRET_KEY": OLD,
    "SECRET_KEY_FALLBACKS": NEW,
    "JWT_SIGNING_KEY": f"own8{OLD[4:]}",
    "JWT_SIGNING_KEY_FALLBACKS": NEW,
    "DATABASE_URL": "postgresql://shop:from-a-file@127.0.0.1:1/shop",
    "DATABASE_REPLICA_URL": "postgresql://shop:from-a-file@127.0.0.1:2/shop",
    "REDIS_URL": "redis://:from-a-file@127.0.0.1:1/0",
    "LOCK_REDIS_URL": "redis://:from-a-file@127.0.0.1:1/1",
    "KAFKA_SASL_PASSWORD": "from-a-file",
    "KAFKA_SSL_KEY_PASSWORD": "from-a-file",
    "DATA_PLATFORM_SECRET": OLD,
    "DATA_PLATFORM_SECRET_FALLBACKS": NEW,
    "EMAIL_HOST_PASSWORD": "from-a-file",
}
NEEDED = {
    "KAFKA_SASL_PASSWORD": {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "shop",
    },
    "KAFKA_SSL_KEY_PASSWORD": {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CERTIFICATE_LOCATION": "/certificates/shop.pem",
        "KAFKA_SSL_KEY_LOCATION": "/certificates/shop.key",
    },
}


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_be_the_content_of_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{VALUES[name]}\n")
    others = {**NEEDED.get(name, {}), "SECRET_KEY": "" if name == "SECRET_KEY" else OLD}
    if name == "DATABASE_URL":
        others[name] = ""
    from_file = read({**others, file_variable(name): str(path)})
    given = read({**others, name: VALUES[name]})
    compared = [key for key in given if key.isupper()]
    assert {key: from_file[key] for key in compared} == {key: given[key] for key in compared}
    # The control: without its file the setting is missing, or has another value.
    error = refusal(**others)
    assert name in error if error else read(others)[name] != given[name]


def test_all_secrets_of_the_settings_are_listed() -> None:
    text = (BASE_DIR / "commerce" / "settings.py").read_text()
    read_there = set(re.findall(r'(?:env\.\w+|required)\(\s*"([A-Z_]+)"', text))
    secret = {name for name in read_there if re.search(r"SECRET|PASSWORD|SIGNING_KEY|REDIS_URL|DATABASE.*_URL", name)}
    assert secret == set(SECRETS)
    page = (BASE_DIR / "docs" / "keys.md").read_text()
    assert {name for name in SECRETS if f"`{file_variable(name)}`" not in page} == set()


def test_a_secret_with_two_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(OLD)
    error = refusal(SECRET_KEY=NEW, SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert error == "Both SECRET_KEY and SECRET_KEY_FILE are set. Set one of them."


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    error = refusal(SECRET_KEY="", SECRET_KEY_FILE=str(path))
    assert error == "SECRET_KEY_FILE names a file that cannot be read as text."


def test_a_secret_with_a_leading_dollar_sign_is_unchanged() -> None:
    """The library would treat the rest as the name of a variable, and print it in its error."""
    assert read({"SECRET_KEY": f"${OLD}"})["SECRET_KEY"] == f"${OLD}"


@pytest.mark.parametrize("name", ["SECRET_KEY_FALLBACKS", "JWT_SIGNING_KEY_FALLBACKS"])
def test_a_weak_key_among_the_fallbacks_stops_the_process(name: str) -> None:
    assert refusal(**{name: f"{NEW}, short"}) == f"{name} is too weak. Set it to at least 50 random characters."
