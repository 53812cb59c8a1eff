"""The documented codes and events, and those of the code: no more, no fewer."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

import commerce.urls  # noqa: F401  # brings every refusal in, whichever test runs first
from commerce.core import errors
from commerce.core.errors import DomainError
from commerce.event_routes import ROUTES, SINKS
from commerce.outbox.routes import DATA_PLATFORM, WEBHOOKS, destinations_of, event_types_to
from commerce.server import problems
from commerce.server.problems import STATUS_OF_KIND
from tests.documented import schema

OF_THE_BACK_OFFICE = {
    "own_wallet",
    "changed_meanwhile",
    "too_many_units",
    "upload_refused",
    "coupon_terms_fixed",
    "coupon_not_running",
    "too_much_to_recount",
    "day_is_final",
}
"""Codes of refusals that no operation of the API documents."""
WITHIN_THE_SHOP = {"coupon-expiring"}
"""Sent by e-mail and to webhooks, but not to Kafka."""


def refusals(kind: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """All refusals with a code."""
    for each in kind.__subclasses__():
        if "code" in vars(each):
            yield each
        yield from refusals(each)


def known_codes() -> dict[str, int]:
    """Code and status of the refusals by Django and DRF, from `commerce.server.problems`."""
    codes = {code: int(status) for _, status, code, _, _ in problems._KNOWN}
    # Codes that depend on the request are in the body of the function.
    for node in ast.walk(ast.parse(inspect.getsource(problems._describe))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_problem":
            status, code = node.args[:2]
            if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                codes[str(code.value)] = int(str(status.value))
    return codes


def status_of(refusal: type[DomainError]) -> int:
    return next(int(status) for kind, status in STATUS_OF_KIND if issubclass(refusal, kind))


def test_the_codes_are_those_of_the_api_page_with_their_statuses() -> None:
    found = {refusal.code: status_of(refusal) for refusal in refusals()} | known_codes()
    page = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
    assert found == {code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page, re.MULTILINE)}


def test_a_code_that_no_operation_documents_is_of_the_back_office() -> None:
    documented = schema()["components"]["schemas"]["ProblemCode"]["enum"]
    assert {refusal.code for refusal in refusals()} - set(documented) == OF_THE_BACK_OFFICE


@pytest.mark.parametrize("refusal", list(refusals()), ids=lambda refusal: refusal.__name__)
def test_a_refusal_has_a_title_and_a_docstring(refusal: type[DomainError]) -> None:
    assert str(refusal.title)
    assert refusal.__doc__
    assert refusal.__doc__.strip().endswith(".")
    assert refusal.code == refusal.code.lower()


def test_only_temporary_refusals_have_a_retry_after() -> None:
    timed = {refusal.code for refusal in refusals() if hasattr(refusal, "retry_after_seconds")}
    assert timed == {"lock_timeout", "service_unavailable", "request_in_progress"}


def test_every_kind_of_refusal_has_a_status() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DomainError)}
    without_code = {kind for kind in kinds if not hasattr(kind, "code")} - {DomainError}
    assert {kind for kind, _ in STATUS_OF_KIND} == without_code


def event_types() -> set[str]:
    """The values of all constants in `events` modules that are event types."""
    found = set()
    for app in apps.get_app_configs():
        try:
            events = __import__(f"{app.name}.events", fromlist=["events"])
        except ModuleNotFoundError:
            continue
        found |= {
            value
            for name, value in vars(events).items()
            if name.isupper() and isinstance(value, str) and "-" in value and value.replace("-", "").isalpha()
        }
    return found


def test_every_event_is_routed() -> None:
    assert ROUTES.keys() == event_types()
    assert all(ROUTES[event] == ("mail", "webhooks") for event in WITHIN_THE_SHOP)


def test_every_other_event_goes_to_kafka() -> None:
    assert all(destinations_of(event)[0] == "kafka" for event in ROUTES.keys() - WITHIN_THE_SHOP)


def test_only_orders_go_to_the_data_platform() -> None:
    told = {"order-completed", "order-cancelled", "order-refunded"}
    assert set(event_types_to(DATA_PLATFORM)) == told


def test_every_destination_has_a_sink() -> None:
    named = {destination for destinations in ROUTES.values() for destination in destinations}
    assert named == SINKS.keys()


def test_every_event_can_be_subscribed_to() -> None:
    """Webhooks are for whatever goes to Kafka as well, so those events do not name them."""
    assert set(event_types_to(WEBHOOKS)) == ROUTES.keys()
    assert all(WEBHOOKS not in destinations_of(event) for event in ROUTES)


def test_every_problem_is_known_before_the_first_request() -> None:
    """A module that was imported later would add its problems to the schema and pages of a running process."""
    program = """
import django, pkgutil, importlib
django.setup()
from commerce.api.problem_catalogue import catalogue
import commerce.urls
before = [(each.code, len(each.meanings)) for each in catalogue()]
import commerce
for package in ("commerce", "balances", "coupons", "orders", "products", "reservations", "stats"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if ".tests" not in module.name and not module.name.endswith(("asgi", "wsgi", "__main__")):
            importlib.import_module(module.name)
assert before == [(each.code, len(each.meanings)) for each in catalogue()]
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stderr
