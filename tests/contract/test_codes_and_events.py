"""The codes and events of the code are exactly those of the contract."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.apps import apps

import commerce.urls  # noqa: F401  # brings every refusal in, whichever test runs first
from commerce.core import errors
from commerce.core.errors import DomainError
from commerce.event_routes import ROUTES, SINKS
from commerce.outbox.routes import WEBHOOKS, destinations_of, event_types_to
from commerce.server import problems
from commerce.server.problems import STATUS_OF_KIND

STATUS_OF_CODE = {
    "validation_error": 400,
    "malformed_json": 400,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "not_authenticated": 401,
    "token_not_valid": 401,
    "permission_denied": 403,
    "not_found": 404,
    "user_not_found": 404,
    "product_not_found": 404,
    "coupon_not_found": 404,
    "order_not_found": 404,
    "reservation_not_found": 404,
    "reservation_expired": 400,
    "throttled": 429,
    "insufficient_balance": 400,
    "balance_limit_exceeded": 400,
    "out_of_stock": 400,
    "coupon_sold_out": 400,
    "coupon_already_issued": 400,
    "coupon_not_open": 400,
    "coupon_not_usable": 400,
    "order_not_cancellable": 409,
    "order_not_refundable": 409,
    "refund_exceeds_order": 400,
    "purchase_limit_exceeded": 400,
    "webhook_not_found": 404,
    "webhook_limit_reached": 409,
    "idempotency_key_reused": 422,
    "request_in_progress": 409,
    "lock_timeout": 503,
    "service_unavailable": 503,
}
NOT_IN_THE_CONTRACT = {
    "precondition_failed": "for `If-Match` on a list, which the contract does not promise to read",
    "own_wallet": "said to staff in the back-office only",
    "internal_error": "a defect of ours, which no client can count on",
    "changed_meanwhile": "said to staff in the back-office only",
    "too_many_units": "said to staff in the back-office only",
    "upload_refused": "said to staff in the back-office only",
    "coupon_terms_fixed": "said to staff in the back-office only",
    "coupon_not_running": "said to staff in the back-office only",
    "too_much_to_recount": "said to staff in the back-office only",
    "day_is_final": "said to staff in the back-office only",
}
EVENTS = {"balance-changed", "coupon-issued", "order-completed", "order-cancelled", "order-refunded"}
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


def test_the_codes_are_those_of_the_contract_with_their_statuses() -> None:
    found = {refusal.code: status_of(refusal) for refusal in refusals()} | known_codes()
    assert {code: status for code, status in found.items() if code not in NOT_IN_THE_CONTRACT} == STATUS_OF_CODE
    assert found.keys() - STATUS_OF_CODE.keys() == NOT_IN_THE_CONTRACT.keys()


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


def test_exactly_the_events_of_the_contract_are_routed() -> None:
    assert event_types() == EVENTS | WITHIN_THE_SHOP
    assert ROUTES.keys() == EVENTS | WITHIN_THE_SHOP
    assert all(ROUTES[event] == ("mail", "webhooks") for event in WITHIN_THE_SHOP)


def test_every_event_goes_to_kafka() -> None:
    assert all(destinations_of(event)[0] == "kafka" for event in EVENTS)


def test_only_orders_go_to_the_data_platform() -> None:
    reported = {"order-completed", "order-cancelled", "order-refunded"}
    assert {event for event in EVENTS if "data-platform" in ROUTES[event]} == reported


def test_every_destination_has_a_sink() -> None:
    named = {destination for destinations in ROUTES.values() for destination in destinations}
    assert named == SINKS.keys()


def test_every_event_can_be_subscribed_to() -> None:
    """Events that are sent to Kafka can always be subscribed to, so their routes do not list webhooks."""
    assert set(event_types_to(WEBHOOKS)) == EVENTS | WITHIN_THE_SHOP
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
