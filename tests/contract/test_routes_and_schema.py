"""The contract's table, the routes and the OpenAPI schema have the same operations."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.validation import validate_schema

from tests.documented import operations, schema
from tests.together import together

# The contract, endpoint by endpoint: method, path, whether a token is needed, and its own refusals.
NO_TOKEN, TOKEN = False, True
CONTRACT: dict[tuple[str, str], tuple[bool, set[str]]] = {
    ("POST", "/api/auth/token"): (NO_TOKEN, {"validation_error", "not_authenticated"}),
    ("POST", "/api/auth/token/refresh"): (NO_TOKEN, {"validation_error", "token_not_valid"}),
    ("GET", "/api/users/me"): (TOKEN, {"user_not_found"}),
    ("GET", "/api/balance/{userId}"): (TOKEN, {"permission_denied", "user_not_found"}),
    ("POST", "/api/balance/charge"): (
        TOKEN,
        {"validation_error", "permission_denied", "user_not_found", "balance_limit_exceeded",
         "idempotency_key_reused", "request_in_progress"},
    ),
    ("GET", "/api/users/balance/history"): (TOKEN, {"validation_error", "permission_denied"}),
    ("GET", "/api/products"): (NO_TOKEN, {"validation_error", "precondition_failed"}),
    ("GET", "/api/products/{productId}"): (NO_TOKEN, {"product_not_found"}),
    ("GET", "/api/products/popular"): (NO_TOKEN, {"validation_error", "precondition_failed"}),
    ("GET", "/api/coupons"): (NO_TOKEN, {"validation_error"}),
    ("POST", "/api/coupons/{couponId}/issue"): (
        TOKEN,
        {"coupon_not_found", "coupon_sold_out", "coupon_already_issued", "coupon_not_open", "user_not_found",
         "validation_error", "idempotency_key_reused", "request_in_progress"},
    ),
    ("GET", "/api/users/coupons"): (TOKEN, {"validation_error", "permission_denied"}),
    ("POST", "/api/reservations"): (
        TOKEN,
        {"validation_error", "product_not_found", "user_not_found", "out_of_stock", "idempotency_key_reused",
         "request_in_progress"},
    ),
    ("GET", "/api/reservations"): (TOKEN, set()),
    ("GET", "/api/reservations/{reservationId}"): (TOKEN, {"reservation_not_found"}),
    ("DELETE", "/api/reservations/{reservationId}"): (
        TOKEN,
        {"reservation_not_found", "reservation_expired", "validation_error", "idempotency_key_reused",
         "request_in_progress"},
    ),
    ("POST", "/api/orders"): (
        TOKEN,
        {"validation_error", "product_not_found", "user_not_found", "reservation_not_found", "reservation_expired",
         "out_of_stock", "purchase_limit_exceeded",
         "coupon_not_usable", "insufficient_balance", "idempotency_key_reused", "request_in_progress"},
    ),
    ("GET", "/api/users/orders"): (TOKEN, {"validation_error", "permission_denied"}),
    ("GET", "/api/orders/{orderId}"): (TOKEN, {"order_not_found"}),
    ("POST", "/api/orders/{orderId}/cancel"): (
        TOKEN,
        {"order_not_found", "order_not_cancellable", "permission_denied", "validation_error", "idempotency_key_reused",
         "request_in_progress"},
    ),
    ("GET", "/api/orders/{orderId}/refunds"): (TOKEN, {"order_not_found", "validation_error"}),
    ("POST", "/api/orders/{orderId}/refunds"): (
        TOKEN,
        {"order_not_found", "order_not_refundable", "refund_exceeds_order", "permission_denied", "validation_error",
         "idempotency_key_reused", "request_in_progress"},
    ),
    ("GET", "/api/webhooks"): (TOKEN, {"validation_error", "permission_denied"}),
    ("POST", "/api/webhooks"): (
        TOKEN,
        {"validation_error", "permission_denied", "webhook_limit_reached", "idempotency_key_reused",
         "request_in_progress"},
    ),
    ("GET", "/api/webhooks/{webhookId}"): (TOKEN, {"permission_denied", "webhook_not_found"}),
    ("PATCH", "/api/webhooks/{webhookId}"): (
        TOKEN,
        {"validation_error", "permission_denied", "webhook_not_found", "idempotency_key_reused", "request_in_progress"},
    ),
    ("DELETE", "/api/webhooks/{webhookId}"): (
        TOKEN,
        {"validation_error", "permission_denied", "webhook_not_found", "idempotency_key_reused", "request_in_progress"},
    ),
    ("POST", "/api/webhooks/{webhookId}/secret"): (
        TOKEN,
        {"validation_error", "permission_denied", "webhook_not_found", "idempotency_key_reused", "request_in_progress"},
    ),
    ("GET", "/api/webhooks/{webhookId}/calls"): (
        TOKEN, {"validation_error", "permission_denied", "webhook_not_found"},
    ),
    ("POST", "/api/webhooks/{webhookId}/resend"): (
        TOKEN,
        {"validation_error", "permission_denied", "webhook_not_found", "idempotency_key_reused", "request_in_progress"},
    ),
}  # fmt: skip
OPERATIONS = {
    "/",
    "/api",
    "/problems",
    "/problems/{slug}",
    "/livez",
    "/readyz",
    "/metrics",
    "/internal/token",
    "/api/schema",
    "/api/docs",
}
EVERYWHERE = {"not_acceptable", "service_unavailable", "lock_timeout"}
WITH_TOKEN = {"not_authenticated", "token_not_valid"}
WITH_BODY = {"malformed_json", "payload_too_large", "unsupported_media_type"}
LIMITED = {"throttled"}
WRITES = ("POST", "PATCH", "DELETE")
WITH_ID = {"not_found"}
"""Paths with an invalid id do not exist."""


def routes(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, set[str]]]:
    """Path and methods of every route outside the back-office."""
    for pattern in resolver.url_patterns:
        path = prefix + re.sub(r"^\^|\$$", "", str(pattern.pattern)).replace("\\Z", "")
        if path.startswith("/admin/"):
            continue
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, path)
        else:
            yield _shown(path), _methods(pattern)


def _shown(path: str) -> str:
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", path)


def _methods(pattern: URLPattern) -> set[str]:
    actions = getattr(pattern.callback, "actions", None) or {"get": ""}
    return {method.upper() for method in actions} - {"HEAD", "OPTIONS"}


def test_the_routes_are_those_of_the_contract() -> None:
    found = {(method, path) for path, methods in routes(get_resolver()) for method in methods}
    assert found == CONTRACT.keys() | {("GET", path) for path in OPERATIONS}


def test_the_schema_describes_the_operations_of_the_contract() -> None:
    assert operations() == CONTRACT.keys()


@pytest.mark.parametrize(("method", "path"), CONTRACT)
def test_an_operation_documents_the_codes_of_the_contract(method: str, path: str) -> None:
    needs_token, own = CONTRACT[method, path]
    operation = schema()["paths"][path][method.lower()]
    described = {
        code
        for status, response in operation["responses"].items()
        if status != "default" and int(status) >= 400
        for code in re.findall(r"`(\w+)`", response["description"])
    }
    expected = own | EVERYWHERE | (WITH_TOKEN if needs_token else set()) | (WITH_ID if "{" in path else set())
    assert described == expected | (LIMITED | WITH_BODY if method in WRITES else set())
    assert ("requestBody" in operation) == (path != "/api/coupons/{couponId}/issue" and method in ("POST", "PATCH"))


@pytest.mark.parametrize(("method", "path"), CONTRACT)
def test_operations_document_whether_they_need_a_token(method: str, path: str) -> None:
    security = schema()["paths"][path][method.lower()].get("security")
    assert security == ([{"bearer": []}] if CONTRACT[method, path][0] else [])


@pytest.mark.parametrize(("method", "path"), CONTRACT)
def test_success_is_200_on_every_operation(method: str, path: str) -> None:
    responses = schema()["paths"][path][method.lower()]["responses"]
    assert {status for status in responses if status < "400"} - {"304"} == {"200"}
    assert ("304" in responses) == (path in ("/api/products", "/api/products/popular"))


def test_every_write_but_a_login_takes_an_idempotency_key() -> None:
    taking = {
        (method, path)
        for method, path in CONTRACT
        for parameter in schema()["paths"][path][method.lower()].get("parameters", [])
        if parameter["name"] == "Idempotency-Key"
    }
    assert taking == {
        ("POST", "/api/balance/charge"),
        ("POST", "/api/coupons/{couponId}/issue"),
        ("POST", "/api/orders"),
        ("POST", "/api/orders/{orderId}/cancel"),
        ("POST", "/api/reservations"),
        ("DELETE", "/api/reservations/{reservationId}"),
        ("POST", "/api/orders/{orderId}/refunds"),
        ("POST", "/api/webhooks"),
        ("PATCH", "/api/webhooks/{webhookId}"),
        ("DELETE", "/api/webhooks/{webhookId}"),
        ("POST", "/api/webhooks/{webhookId}/secret"),
        ("POST", "/api/webhooks/{webhookId}/resend"),
    }


PARAMETERS = {
    "/api/users/balance/history": {"userId", "type", "from", "to", "cursor", "pageSize"},
    "/api/users/orders": {"userId", "status", "cursor", "pageSize"},
    "/api/orders/{orderId}/refunds": {"orderId", "cursor", "pageSize"},
    "/api/users/coupons": {"userId", "status", "cursor", "pageSize"},
    "/api/coupons": {"cursor", "pageSize"},
    "/api/products": {"search", "ordering", "minPrice", "maxPrice", "inStock", "page", "pageSize"},
    "/api/products/popular": set(),
}


@pytest.mark.parametrize("path", PARAMETERS)
def test_a_list_documents_its_parameters(path: str) -> None:
    parameters = schema()["paths"][path]["get"].get("parameters", [])
    assert {parameter["name"] for parameter in parameters} == PARAMETERS[path]
    assert {parameter["in"] for parameter in parameters} <= ({"query", "path"} if "{" in path else {"query"})


FIELDS = {
    "Balance": {"userId", "balance"},
    "Charge": {"userId", "balance", "transaction"},
    "LedgerEntry": {"id", "type", "amount", "balanceAfter", "orderId", "createdAt"},
    "Product": {"id", "name", "description", "price", "stock", "purchaseLimit"},
    "Coupon": {"id", "name", "discountType", "discountValue", "maxDiscount", "minOrderAmount", "totalQuantity",
               "remaining", "issueStartsAt", "issueEndsAt", "validUntil"},
    "UserCoupon": {"id", "couponId", "name", "discountType", "discountValue", "maxDiscount", "minOrderAmount",
                   "status", "issuedAt", "expiresAt", "usedAt"},
    "Order": {"id", "userId", "status", "items", "totalAmount", "discountAmount", "paidAmount",
              "refundedAmount", "userCouponId", "createdAt", "completedAt", "cancelledAt"},
    "OrderItem": {"productId", "productName", "unitPrice", "quantity", "subtotal", "refundedQuantity"},
    "Refund": {"id", "orderId", "items", "amount", "restock", "reason", "createdAt"},
    "MadeRefund": {"id", "orderId", "items", "amount", "restock", "reason", "createdAt", "order"},
    "RefundedItem": {"productId", "quantity", "amount"},
    "Reservation": {"id", "userId", "status", "items", "createdAt", "expiresAt", "endedAt", "orderId"},
    "ReservedItem": {"productId", "quantity"},
    "Problem": {"type", "title", "status", "code", "detail", "instance", "requestId"},
    "Token": {"access", "refresh"},
    "Access": {"access"},
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_shape_has_the_contract_s_fields_all_of_them_required(name: str) -> None:
    component: dict[str, Any] = schema()["components"]["schemas"][name]
    assert component["properties"].keys() == FIELDS[name]
    assert set(component["required"]) == FIELDS[name]


def test_the_schema_is_openapi_3_1_and_valid() -> None:
    assert schema()["openapi"].startswith("3.1")
    validate_schema(schema())


def test_the_schema_is_made_without_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "schema.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file))
    assert file.stat().st_size > 10_000


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [schema()["paths"][path][method.lower()]["operationId"] for method, path in CONTRACT]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][a-zA-Z]+", name) for name in names)


@pytest.mark.django_db(transaction=True)
class TestServed:
    """`/api/schema` and `/api/docs`, open to everyone."""

    def test_the_schema(self) -> None:
        response = Client().get("/api/schema")
        assert response.status_code == 200
        assert response.json()["paths"].keys() == schema()["paths"].keys()

    def test_the_schema_to_a_crowd(self) -> None:
        assert together([lambda: Client().get("/api/schema").status_code] * 8) == [200] * 8

    def test_the_docs_work_offline(self) -> None:
        response = Client().get("/api/docs")
        page = response.content.decode()
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/html")
        addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page) + re.findall(r"url:\s*[\"']([^\"']+)", page)
        assert len(addresses) >= 4
        assert [address for address in addresses if "//" in address] == []
