"""Validation of the settings, and Django's deployment check."""

import ast
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

STRONG = secrets.token_urlsafe(48)
READ_THEM = [sys.executable, "-c", "import commerce.settings"]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process with these settings only."""
    return {
        "PATH": os.environ["PATH"],
        "LOCAL_DIR": "/nonexistent/stack",
        "DJANGO_SETTINGS_MODULE": "commerce.settings",
        "SECRET_KEY": STRONG,
        "DATABASE_URL": "postgresql://shop:pa55-of-the-database@127.0.0.1:1/shop",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }


def run(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these settings only."""
    return subprocess.run(  # noqa: S603  # a command of ours
        command,
        env=environment(**variables),
        cwd=Path(settings.BASE_DIR),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refusal(**variables: str) -> str:
    """The error message for these settings; empty if they are accepted."""
    with patch.dict(os.environ, environment(**variables), clear=True):
        try:
            run_path(str(Path(settings.BASE_DIR) / "commerce" / "settings.py"))
        except ImproperlyConfigured as refused:
            return str(refused)
    return ""


def test_a_refusal_ends_the_process() -> None:
    assert run(READ_THEM).returncode == 0
    ended = run(READ_THEM, REDIS_TIMEOUT_SECONDS="pa55")
    assert ended.returncode == 1
    error = "django.core.exceptions.ImproperlyConfigured: REDIS_TIMEOUT_SECONDS is not a number."
    assert ended.stderr.strip().splitlines()[-1] == error


def test_valid_settings_are_accepted() -> None:
    assert refusal() == ""
    assert refusal(JWT_SIGNING_KEY=secrets.token_urlsafe(48)) == ""


WEAK = {
    "short": "aB3$" * 7,
    "one letter": "a" * 60,
    "few letters": "abcabcabc" * 7,
    "the example's": "replace-me-with-at-least-fifty-random-characters-please",
    "Django's own": "django-insecure-4711abcdefghijklmnopqrstuvwxyz0123456789",
    "a request to change it": "changeme-changeme-ABCDEFGHIJKLMNOP-changeme-changeme",
}


@pytest.mark.parametrize("weakness", WEAK)
@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SIGNING_KEY"])
def test_a_weak_key_stops_the_process(name: str, weakness: str) -> None:
    error = refusal(**{name: WEAK[weakness]})
    assert error.endswith(f"{name} is too weak. Set it to at least 50 random characters.")
    assert WEAK[weakness] not in error


def test_the_example_values_of_a_deployment_are_refused() -> None:
    lines = (Path(settings.BASE_DIR) / "deploy" / "env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert "SECRET_KEY is too weak" in refusal(SECRET_KEY=example["SECRET_KEY"])
    url = "http://127.0.0.1:1/orders"
    error = refusal(DATA_PLATFORM_URL=url, DATA_PLATFORM_SECRET=example["DATA_PLATFORM_SECRET"])
    assert "DATA_PLATFORM_SECRET is too weak" in error


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL"])
def test_required_settings_must_be_set(name: str) -> None:
    assert f"{name} is not set" in refusal(**{name: ""})


ARCHIVE = {
    "ARCHIVE_DIR": "/srv/archive",
    **dict.fromkeys(("LEDGER_RETENTION_DAYS", "STOCK_MOVEMENT_RETENTION_DAYS", "ORDER_RETENTION_DAYS"), "99"),
}


def test_an_archive_of_all_three_tables_is_accepted() -> None:
    """The control of the refusals below, each of which changes one setting."""
    assert refusal(**ARCHIVE) == ""


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"EMAIL_HOST": "smtp.example"}, "EMAIL_FROM is not set"),
        ({"EMAIL_SECURITY": "ssl"}, "EMAIL_SECURITY must be one of `starttls`, `tls`, `none`."),
        ({"EMAIL_SECURITY": "none", "EMAIL_HOST_PASSWORD": "letters"}, "would be sent unencrypted"),
        ({"LEDGER_RETENTION_DAYS": "99"}, "ARCHIVE_DIR is not set"),
        (ARCHIVE | {"LEDGER_RETENTION_DAYS": "7"}, "longer than OUTBOX_RETENTION_HOURS"),
        (ARCHIVE | {"IDEMPOTENCY_HOURS": "2400"}, "longer than OUTBOX_RETENTION_HOURS and IDEMPOTENCY_HOURS"),
        (ARCHIVE | {"OUTBOX_RETENTION_HOURS": "0"}, "longer than OUTBOX_RETENTION_HOURS"),
        (
            ARCHIVE | {"ORDER_RETENTION_DAYS": "98"},
            "LEDGER_RETENTION_DAYS must be above 0 and at most ORDER_RETENTION_DAYS",
        ),
        (ARCHIVE | {"STOCK_MOVEMENT_RETENTION_DAYS": "0"}, "STOCK_MOVEMENT_RETENTION_DAYS must be above 0 and at most"),
        (
            ARCHIVE | {"PROCESSED_EVENT_RETENTION_HOURS": "0"},
            "PROCESSED_EVENT_RETENTION_HOURS must be above 0 and shorter",
        ),
    ],
)
def test_an_invalid_setting_of_email_or_archive_is_refused(given: dict[str, str], error: str) -> None:
    assert error in refusal(**given)


def bounds_of_numbers() -> dict[str, dict[str, float]]:
    """The bounds of all numbers in settings.py."""
    calls = ast.walk(ast.parse((Path(settings.BASE_DIR) / "commerce" / "settings.py").read_text()))
    return {
        ast.literal_eval(call.args[0]): {
            str(each.arg): float(ast.literal_eval(each.value))
            for each in call.keywords
            if isinstance(each.value, ast.Constant)
        }
        for call in calls
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"integer", "number"}
    }


BOUNDS = bounds_of_numbers()


def test_every_number_has_bounds() -> None:
    assert len(BOUNDS) > 45
    assert [name for name, bounds in BOUNDS.items() if not bounds] == ["DATABASE_ANSWER_SECONDS"]
    # Its bound is another setting.
    assert refusal(DATABASE_ANSWER_SECONDS="5") == "DATABASE_ANSWER_SECONDS must be above 5.0."
    source = (Path(settings.BASE_DIR) / "commerce" / "settings.py").read_text()
    assert "env.int(" not in source
    assert "env.float(" not in source


@pytest.mark.parametrize("name", [name for name, bounds in BOUNDS.items() if bounds])
def test_a_number_outside_its_bounds_is_refused(name: str) -> None:
    bounds = BOUNDS[name]
    outside = [bounds["least"] - 1 if "least" in bounds else bounds["above"]]
    if "most" in bounds:
        outside.append(bounds["most"] + 1)
    for value in outside:
        error = refusal(**{name: f"{value:g}"})
        assert re.match(rf"{name} must be (.* or more|above .*)", error), (value, error)


def test_a_partner_without_a_secret_is_refused() -> None:
    assert "DATA_PLATFORM_SECRET is not set" in refusal(DATA_PLATFORM_URL="http://127.0.0.1:1/orders")


@pytest.mark.parametrize("name", ["WEB_CONNECTIONS", "REDIS_TIMEOUT_SECONDS", "DATABASE_LOCK_TIMEOUT_MS"])
def test_an_invalid_number_is_refused_without_printing_it(name: str) -> None:
    error = refusal(**{name: "pa55"})
    assert error == f"{name} is not a number."


def test_an_infinite_number_is_refused() -> None:
    assert "LOCK_WAIT_SECONDS is not a finite number" in refusal(LOCK_WAIT_SECONDS="inf")


@pytest.mark.parametrize("name", ["REDIS_URL", "LOCK_REDIS_URL"])
def test_a_redis_cluster_is_refused(name: str) -> None:
    assert f"{name} names a Redis Cluster" in refusal(**{name: "redis+cluster://:pa55@127.0.0.1:7000"})


def test_any_host_is_refused() -> None:
    assert refusal(ALLOWED_HOSTS="shop.example,*").startswith("ALLOWED_HOSTS is `*`")
    assert refusal(ALLOWED_HOSTS="shop.example,.shop.example") == ""
    # Allowed in development.
    assert refusal(ALLOWED_HOSTS="*", DEBUG="true") == ""


def test_a_proxy_without_num_proxies_is_refused() -> None:
    assert refusal(BEHIND_PROXY="true").startswith("BEHIND_PROXY is true and NUM_PROXIES is 0.")
    assert refusal(BEHIND_PROXY="true", NUM_PROXIES="-1") == "NUM_PROXIES must be 0 or more."
    assert refusal(BEHIND_PROXY="true", NUM_PROXIES="1") == ""
    # A proxy without TLS sets no X-Forwarded-Proto.
    assert refusal(NUM_PROXIES="1") == ""


SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "shop", "KAFKA_SASL_PASSWORD": "pa55"}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "pa55"}, "KAFKA_SECURITY_PROTOCOL"),
        ({**SASL, "KAFKA_SASL_PASSWORD": ""}, "KAFKA_SASL_PASSWORD"),
        ({**SASL, "KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME"),
        ({**SASL, "KAFKA_SASL_MECHANISM": "pa55"}, "KAFKA_SASL_MECHANISM"),
        ({**SASL, "KAFKA_SECURITY_PROTOCOL": "SSL"}, "KAFKA_SASL_…"),
        ({**SASL, "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "KAFKA_SASL_…"),
        ({"KAFKA_SSL_CA_LOCATION": "pa55"}, "KAFKA_SSL_…"),
        ({**SASL, "KAFKA_SSL_KEY_LOCATION": "pa55"}, "KAFKA_SSL_CERTIFICATE_LOCATION"),
    ],
    ids=str,
)
def test_an_incomplete_kafka_login_is_refused_without_printing_it(variables: dict[str, str], named: str) -> None:
    error = refusal(**variables)
    assert named in error
    assert "pa55" not in error


def test_a_complete_kafka_login_is_accepted() -> None:
    assert refusal(**SASL) == ""


def test_options_of_the_database_url_are_kept() -> None:
    url = "postgresql://shop:pa55@127.0.0.1:1/shop?connect_timeout=7&options=-c%20work_mem%3D64MB"
    code = "from commerce.settings import DATABASES as d; print(d['default']['OPTIONS'])"
    printed = run([sys.executable, "-c", code], DATABASE_URL=url).stdout
    assert "'connect_timeout': 7" in printed
    assert "-c lock_timeout=2000" in printed
    assert "-c work_mem=64MB" in printed


def test_the_defaults_are_the_safe_ones() -> None:
    code = (
        "from commerce import settings as s;"
        "print(s.DEBUG, s.HTTPS, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS,"
        "s.SECURE_SSL_REDIRECT, s.NUM_PROXIES, s.SECURE_PROXY_SSL_HEADER, s.ALLOWED_HOSTS,"
        "s.WRITES_PER_SECOND, s.COUPON_ISSUES_PER_SECOND, s.LOGINS_PER_MINUTE, s.LOGIN_FAILURES_PER_MINUTE,"
        "s.LOGIN_FAILURES_PER_HOUR, sep='|')"
    )
    printed = run([sys.executable, "-c", code]).stdout.strip().split("|")
    assert printed == [
        *("False", "True", "True", "True", "31536000", "True", "0", "None", "['localhost', '127.0.0.1', '[::1]']"),
        *("20.0", "10.0", "60", "10", "100"),
    ]


CHECK = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]


def test_the_deployment_check_is_clean() -> None:
    ended = run(CHECK)
    assert (ended.returncode, ended.stdout) == (0, "System check identified no issues (0 silenced).\n"), ended.stderr


def test_control_the_deployment_check_finds_a_fault() -> None:
    ended = run(CHECK, HTTPS="false")
    assert ended.returncode == 1
    assert "security.W004" in ended.stderr
    assert "security.W008" in ended.stderr
