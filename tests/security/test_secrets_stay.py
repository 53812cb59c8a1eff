"""Passwords, tokens and keys are never in logs, responses, health pages, metrics or Redis."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings as project_settings
from django.db import connections
from django.test import Client
from pytest_django import Settings

from commerce.api.authentication import tokens_for
from commerce.core import redis_services
from commerce.core.logs import JsonLines, RequestFilter, TextLines
from commerce.embedded.redis_server import Redis
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.models import DeliveryAttempt
from commerce.outbox.sinks.webhooks import new_secret
from commerce.server import health
from products import selectors
from tests.factories import ProductFactory, StaffFactory, UserFactory, order_of
from tests.security.test_settings import run
from tests.shopper import Shopper
from tests.together import meanwhile
from tests.webhooks.conftest import subscribe

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct-horse-battery-7731"


class Written:
    """All output of the shop during a test."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog, self._capfd = caplog, capfd
        self._bodies: list[str] = []

    def body(self, response: object) -> None:
        """Add a response with its headers to the output."""
        headers = getattr(response, "headers", {})
        self._bodies.append(f"{dict(headers)}\n{getattr(response, 'content', b'').decode()}")

    def records(self) -> list[logging.LogRecord]:
        """The log records before formatting."""
        return list(self._caplog.records)

    def everything(self) -> str:
        formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
        logged = "\n".join(formatter.format(record) for record in self._caplog.records)
        printed = self._capfd.readouterr()
        return "\n".join([logged, printed.out, printed.err, *self._bodies])


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """Includes the health pages and metrics after the test."""
    caplog.set_level(logging.DEBUG)
    found = Written(caplog, capfd)
    yield found
    for path in ("/readyz", "/livez", "/metrics"):
        found.body(Client().get(path))
    text = found.everything()
    database, partner = project_settings.DATABASES["default"]["PASSWORD"], project_settings.DATA_PLATFORM_SECRET
    keys = (project_settings.SECRET_KEY, project_settings.SIMPLE_JWT["SIGNING_KEY"], database, partner, PASSWORD)
    for secret in map(str, keys):
        assert len(secret) > 15
        assert secret not in text
    # A JSON Web Token, and a password's hash.
    assert not re.search(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", text)
    assert not re.search(r"pbkdf2_sha256\$", text)


def crash(written: Written, monkeypatch: pytest.MonkeyPatch, request: Callable[[Client], object]) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(selectors, "product_for_sale", broken)
    monkeypatch.setattr("balances.services.authenticate", broken)
    monkeypatch.setattr("balances.selectors.owner_of_token", broken)
    response = request(Client(raise_request_exception=False))
    assert getattr(response, "status_code", 0) == 500
    written.body(response)
    assert "ZeroDivisionError" in written.everything()


def test_a_crash_in_a_view_with_a_token(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    access = tokens_for(user_id=UserFactory().pk, is_staff=False).access
    headers = {"Authorization": f"Bearer {access}", "Cookie": f"note={PASSWORD}"}
    crash(written, monkeypatch, lambda client: client.get("/api/products/1", headers=headers))


def test_a_crash_in_a_login(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"username": "jimin", "password": PASSWORD}
    crash(written, monkeypatch, lambda client: client.post("/api/auth/token", body, content_type="application/json"))


def test_a_crash_in_a_refresh(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"refresh": tokens_for(user_id=UserFactory().pk, is_staff=False).refresh}
    path = "/api/auth/token/refresh"
    crash(written, monkeypatch, lambda client: client.post(path, body, content_type="application/json"))


@pytest.mark.parametrize("username", ["jimin", "nobody", PASSWORD], ids=["known", "unknown", "password as name"])
def test_a_wrong_login_at_api_and_back_office(written: Written, username: str) -> None:
    StaffFactory(username="jimin", password="the right one")
    body = {"username": username, "password": PASSWORD}
    written.body(Client().post("/api/auth/token", body, content_type="application/json"))
    page = Client().post("/admin/login/", body)
    assert page.status_code == 200
    if username != PASSWORD:
        # The form shows the entered name again.
        written.body(page)
    assert not any(PASSWORD.encode() in key for key in redis_services.cache.client.keys("*"))


def test_bad_tokens(written: Written) -> None:
    good = tokens_for(user_id=UserFactory().pk, is_staff=False)
    for bad in (good.refresh, good.access[:-3] + "abc", "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOiIxIn0."):
        written.body(Shopper(access=bad).get("/api/balance/1"))
        written.body(Shopper().post("/api/auth/token/refresh", {"refresh": bad[:-2] + "xx"}))


def test_invalid_bodies_are_not_echoed(written: Written) -> None:
    for content in (f'{{"username": "a", "password": ["{PASSWORD}"]}}', f'{{"password": "{PASSWORD}"', f'"{PASSWORD}"'):
        answer = Shopper().send("POST", "/api/auth/token", content.encode())
        assert answer.status == 400
        written.body(answer)


@pytest.mark.parametrize("fault", ["nobody there", "wrong password"])
def test_the_database_unavailable(
    written: Written, fault: str, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserFactory()
    wrong = {"PORT": str(closed_port)} if fault == "nobody there" else {"PASSWORD": f"{PASSWORD}-wrong"}

    def ask() -> None:
        connection = connections["default"]
        connection.close()
        connection.settings_dict = {**connection.settings_dict, **wrong}
        for path in (f"/api/balance/{user.pk}", "/api/users/orders"):
            answer = Shopper(user).get(path)
            assert answer.outcome == (503, "service_unavailable")
            written.body(answer)
        # The connection of the probes is configured by the settings.
        monkeypatch.setitem(connections.settings, "default", connection.settings_dict)
        health.close_connection()
        ready = Client().get("/readyz")
        assert ready.status_code == 503
        written.body(ready)

    # The thread's own connection is closed.
    with meanwhile(ask) as asked:
        asked.result()


def test_redis_unavailable_or_with_another_password(written: Written, own_redis: Redis, settings: Settings) -> None:
    user, password = UserFactory(), own_redis.url.split(":")[2].split("@")[0]
    redis_services.cache.client.config_set("requirepass", f"{PASSWORD}-new")
    redis_services.cache.client.connection_pool.disconnect()
    redis_services.locks.client.connection_pool.disconnect()
    written.body(Shopper(user).post("/api/balance/charge", {"amount": 1}))
    written.body(Shopper().get("/api/products"))
    own_redis.child.kill()
    for service in (redis_services.cache, redis_services.locks):
        service.forget_pause()
    written.body(Shopper(user).post("/api/balance/charge", {"amount": 1}))
    text = written.everything()
    assert "does not answer" in text
    assert password not in text


def test_the_partner_unavailable(written: Written, settings: Settings, closed_port: int) -> None:
    settings.DATA_PLATFORM_URL = f"http://shop:{PASSWORD}@127.0.0.1:{closed_port}/orders"
    order_of(UserFactory(balance=5_000), {ProductFactory(price=1): 1})
    Dispatcher("data-platform").drain()
    attempt = DeliveryAttempt.objects.get()
    assert attempt.error
    assert PASSWORD not in attempt.error
    assert str(settings.DATA_PLATFORM_SECRET) not in attempt.error


def test_control_a_secret_is_detected(written: Written) -> None:
    """The control: the same search finds a logged secret."""
    logging.getLogger("commerce").warning("a secret: %s", "not-a-secret-but-found")
    assert "not-a-secret-but-found" in written.everything()


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": f"nonsense://shop:{PASSWORD}@127.0.0.1:1/shop"},
        {"DATABASE_URL": f"//shop:{PASSWORD}@127.0.0.1:1/shop"},
        {"DATABASE_URL": f"shop:{PASSWORD}@127.0.0.1:1/shop"},
        {"SECRET_KEY": PASSWORD},
        {"DATA_PLATFORM_SECRET": PASSWORD, "DATA_PLATFORM_DELIVERY": "never"},
    ],
    ids=str,
)
def test_settings_that_are_refused(variables: dict[str, str]) -> None:
    ended = run([sys.executable, "manage.py", "check"], **variables)
    assert ended.returncode != 0
    assert PASSWORD not in ended.stdout + ended.stderr


def test_the_command_line_of_redis_has_no_secret(own_redis: Redis) -> None:
    password = own_redis.url.split(":")[2].split("@")[0]
    assert own_redis.child.pid is not None
    line = subprocess.run(  # noqa: S603  # a fixed command
        ["ps", "-ww", "-o", "args=", "-p", str(own_redis.child.pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "redis-server" in line
    assert len(password) == 64
    assert password not in line


class TestSecretsOfWebhooks:
    """`whsec_…` is only in the response that creates it, and in no log line, even after errors."""

    def test_of_one_that_is_made_changed_and_removed(self, written: Written) -> None:
        staff = Shopper(StaffFactory())
        terms = {"name": "Warehouse", "url": "https://partner.example/", "eventTypes": ["order-completed"]}
        made = staff.post("/api/webhooks", terms).json
        address = f"/api/webhooks/{made['webhook']['id']}"
        rotated = staff.send("POST", f"{address}/secret", b'{"overlapHours": 1}').json
        secrets = [made["secret"], rotated["secret"]]
        assert all(len(secret) > 30 for secret in secrets)
        for method, path in (("GET", "/api/webhooks"), ("GET", address), ("DELETE", address)):
            written.body(staff.send(method, path))
        text = written.everything()
        assert not [secret for secret in secrets if secret in text]
        assert "whsec_" not in text

    @pytest.mark.parametrize("lines", [TextLines(secrets=()), JsonLines(secrets=())], ids=["text", "JSON"])
    def test_of_a_line_that_would_have_it(self, lines: logging.Formatter) -> None:
        secret = new_secret()
        try:
            raise ValueError(f"cannot sign with {secret}")
        except ValueError:
            failure = sys.exc_info()
        record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "call of %s failed", (secret,), failure)
        RequestFilter().filter(record)
        line = lines.format(record)
        assert "call of [hidden] failed" in line
        assert "cannot sign with [hidden]" in line
        assert secret not in line
        assert secret.removeprefix("whsec_") not in line

    def test_of_a_call_that_crashes(self, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
        """The dispatcher logs errors of a subscription."""
        webhook = subscribe("https://partner.example/")

        def broken(*_args: object, **_kwargs: object) -> None:
            raise ValueError(f"a defect at {webhook.secret}")

        monkeypatch.setattr("commerce.webhooks.services.new_secret", broken)
        boss = StaffFactory()
        client = Client(raise_request_exception=False)
        client.force_login(boss)
        access = tokens_for(user_id=boss.pk, is_staff=True).access
        answer = client.post(
            f"/api/webhooks/{webhook.pk}/secret",
            {},
            content_type="application/json",
            headers={"Authorization": f"Bearer {access}"},
        )
        assert answer.status_code == 500
        written.body(answer)
        lines = TextLines(secrets=())
        records = written.records()
        assert any(record.exc_info for record in records)
        for record in records:
            RequestFilter().filter(record)
            assert webhook.secret not in lines.format(record)
