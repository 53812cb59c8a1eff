"""Log lines: ids, formats, and secrets that they must not contain."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.conf import settings as project_settings
from django.db import connection
from django.test import Client

from commerce.api.authentication import tokens_for
from commerce.core import sql
from commerce.core.logs import HIDDEN, JsonLines, RequestFilter, TextLines
from commerce.core.process import process_name
from products import selectors
from tests.factories import StaffFactory, UserFactory
from tests.fuzz.web_server import web_server
from tests.outbox.manage import managed, run
from tests.together import wait_until

PASSWORD = "correct-horse-battery-7731"
KEYS = ("a signing key of 40 letters, that is long", "a secret of the data platform")


class Log:
    """The output of a handler with the shop's filter."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(formatter)
        self.handler.addFilter(RequestFilter())

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.split("\n") if line]


@pytest.fixture(params=[JsonLines, TextLines])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """The output of the root logger during the test, in each of the formats."""
    written = Log(request.param(secrets=KEYS))
    root = logging.getLogger()
    root.addHandler(written.handler)
    yield written
    root.removeHandler(written.handler)


@pytest.fixture
def json_log() -> Iterator[Log]:
    written = Log(JsonLines(secrets=KEYS))
    logging.getLogger().addHandler(written.handler)
    yield written
    logging.getLogger().removeHandler(written.handler)


def token() -> str:
    return tokens_for(user_id=7, is_staff=False).access


def secrets_written() -> dict[str, tuple[str, tuple[object, ...], str]]:
    """A message, its arguments, and the text that must not be written."""
    access = token()
    return {
        "header": ("Authorization: Bearer %s", (access,), access),
        "header in a dictionary": ("headers %s", ({"Authorization": f"Bearer {access}", "n": 1},), access),
        "basic": ("Authorization: Basic c2hvcDpzZWNyZXQ=", (), "c2hvcDpzZWNyZXQ="),
        "token alone": ("could not read %s", (access,), access),
        "token in JSON": ('{"access": "%s"}', (access,), access),
        "password in JSON": ('{"username": "jimin", "password": "%s"}', (PASSWORD,), PASSWORD),
        "password that JSON cut off": ('{"password": "%s', (PASSWORD,), PASSWORD),
        "password in a form": (f"username=jimin&password={PASSWORD}&next=/", (), PASSWORD),
        "password as an argument": ("connect(user='shop', password=%r)", (PASSWORD,), PASSWORD),
        "password of a URL": ("cannot reach %s", (f"postgresql://shop:{PASSWORD}@db/shop",), PASSWORD),
        "password's hash": ("hash %s", ("pbkdf2_sha256$1000000$salt$c2VjcmV0aGFzaA==",), "c2VjcmV0aGFzaA"),
        "signing key": ("signs with %s", (KEYS[0],), KEYS[0]),
        "signing key by name": ("JWT_SIGNING_KEY=%s", ("some-other-key-that-is-long",), "some-other-key-that-is-long"),
        "partner's secret": (f"<{KEYS[1]}>", (), KEYS[1]),
        "API key": ("X-Api-Key: %s", ("abcdef0123456789",), "abcdef0123456789"),
        "cookie": ("Cookie: sessionid=%s", ("abcdef0123456789",), "abcdef0123456789"),
        "second factor": ("otp=%s", ("123456",), "123456"),
    }


@pytest.mark.parametrize("which", secrets_written())
@pytest.mark.parametrize("where", ["message", "exception", "extra"])
def test_no_secret_is_written(log: Log, which: str, where: str) -> None:
    message, arguments, secret = secrets_written()[which]
    logger = logging.getLogger("commerce.test")
    if where == "message":
        logger.error(message, *arguments)
    elif where == "exception":
        try:
            raise ValueError(message % arguments)
        except ValueError:
            logger.exception("it failed")
    else:
        logger.error("see", extra={"seen": message % arguments})
    assert log.text
    assert secret not in log.text
    assert (HIDDEN in log.text) == (where != "extra")


def test_other_text_is_unchanged(log: Log) -> None:
    logged = "order-completed:17 for kafka is parked: HTTP 503: 3 tokens of ~/shop, see http://127.0.0.1:8000/a:b@c"
    logging.getLogger("commerce.test").error("%s", logged)
    assert logged in log.text


def test_every_line_is_one_json_object(json_log: Log) -> None:
    logging.getLogger("commerce.test").warning('two\nlines and "quotes" \u2028 가', extra={"request_body": "x"})
    [line] = json_log.lines
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "commerce.test",
        "process": "shop",
        "requestId": "-",
        "userId": "-",
        "traceId": "-",
        "message": 'two\nlines and "quotes" \u2028 가',
    }


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a defect")


@pytest.mark.django_db(transaction=True)
class TestRequests:
    """Log lines of requests."""

    def test_a_line_names_its_request_and_its_account(self, json_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("balances.selectors.balance_of", broken)
        user = UserFactory()
        access = tokens_for(user_id=user.pk, is_staff=False).access
        headers = {"Authorization": f"Bearer {access}", "X-Request-ID": "of-the-caller"}
        answer = Client(raise_request_exception=False).get(f"/api/balance/{user.pk}", headers=headers)
        assert answer.status_code == 500
        found = {(line["requestId"], line["userId"], "ZeroDivisionError" in line.get("exception", ""))
                 for line in json_log.lines if "exception" in line}  # fmt: skip
        assert found == {("of-the-caller", str(user.pk), True)}
        assert access not in json_log.text

    def test_an_anonymous_request_has_no_account(self, json_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(selectors, "product_for_sale", broken)
        assert Client(raise_request_exception=False).get("/api/products/1").status_code == 500
        assert {line["userId"] for line in json_log.lines if "exception" in line} == {"-"}

    def test_a_line_of_the_back_office_names_the_member_of_staff(
        self, json_log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        staff = StaffFactory(is_superuser=True)
        client = Client(raise_request_exception=False)
        client.force_login(staff, backend=project_settings.AUTHENTICATION_BACKENDS[0])
        monkeypatch.setattr("commerce.outbox.admin.OutboxMessageAdmin.get_queryset", broken)
        assert client.get("/admin/outbox/outboxmessage/").status_code == 500
        assert str(staff.pk) in {line["userId"] for line in json_log.lines if "exception" in line}

    def test_no_request_leaves_its_ids_behind(self, json_log: Log) -> None:
        Client().get("/livez")
        logging.getLogger("commerce.test").warning("after it")
        assert [(line["requestId"], line["userId"]) for line in json_log.lines] == [("-", "-")]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/srv/shop/manage.py", "relay_outbox", "--metrics-port", "9102"], "relay_outbox"),
        (["manage.py", "Drop table;"], "droptable"),
        (["manage.py"], "shop"),
        (["/srv/shop/commerce/serve.py", "--port", "1"], "web"),
        (["-c"], "shop"),
        ([], "shop"),
    ],
)
def test_a_process_has_the_name_of_its_command(
    arguments: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert process_name() == name


@pytest.mark.django_db(transaction=True)
class TestProcesses:
    """Log lines of separate processes, and their names in PostgreSQL."""

    def test_a_command_writes_json(self) -> None:
        done = run("relay_outbox", "--once", environment={"LOG_LEVEL": "DEBUG"})
        lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        assert done.returncode == 0, done.stderr
        assert {line["process"] for line in lines} <= {"relay_outbox"}
        assert all(line.startswith("{") for line in done.stderr.splitlines())

    def test_an_invalid_format_is_refused(self) -> None:
        done = run("check", environment={"LOG_FORMAT": "xml"})
        assert done.returncode != 0
        assert "LOG_FORMAT must be one of `json`, `text`." in done.stderr

    def test_sessions_have_the_name_of_their_process(self) -> None:
        with web_server() as web, managed("relay_outbox", environment={"DATA_PLATFORM_URL": ""}) as relay:
            wait_until(lambda: relay.printed("Relaying"), "the relay")
            with urlopen(f"{web.url}/api/products") as answer:  # noqa: S310  # our own http address
                assert answer.status == 200
            names = {"commerce-relay_outbox", "commerce-web", "commerce-probe"}
            wait_until(lambda: names <= sessions(), "their sessions")
            assert relay.stop() == 0

    def test_a_web_server_writes_json_from_its_first_line(self, tmp_path: Path) -> None:
        with web_server(LOG_LEVEL="DEBUG", STATIC_ROOT=str(tmp_path)) as web:
            pass
        written = [json.loads(line) for line in web.log_path.read_text().splitlines()]
        assert {line["process"] for line in written} == {"web"}


def sessions() -> set[str]:
    """The application names of the sessions of this database."""
    rows = sql.fetch_all("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    connection.close()
    return {name for (name,) in rows}
