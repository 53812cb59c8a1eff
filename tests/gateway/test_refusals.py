"""The gateway's own refusals: the same texts as the shop's in both languages, and the conditions for them."""

import json
import socket
from typing import Any

import pytest
import requests
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from django.test import RequestFactory
from django.utils import translation
from rest_framework.exceptions import NotAuthenticated, Throttled
from rest_framework_simplejwt.exceptions import InvalidToken

from commerce.core.errors import ServiceUnavailable
from commerce.server.problems import OTHER_PROBLEMS, problem_response
from commerce.server.request_context import _language_of
from tests.gateway.limits import limits
from tests.gateway.nginx import Address, gateway_before
from tests.gateway.recorder import TOKEN, Recorder
from tests.together import wait_until

WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
OF_ONE_REQUEST = {"instance", "requestId"}


def shop_response(error: Exception, language: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of the shop's own response."""
    with translation.override(language):
        response = problem_response(RequestFactory().get("/api/x"), error)
    return response.status_code, json.loads(response.content), dict(response.headers)


def refused(gateway: Address, kind: str, language: str) -> requests.Response:
    headers = {"Accept-Language": language}
    match kind:
        case "no token":
            return requests.get(f"{gateway.url}/api/orders/1", headers=headers, timeout=30)
        case "bad token":
            headers["Authorization"] = "Bearer a.b.c"
            return requests.get(f"{gateway.url}/api/orders/1", headers=headers, timeout=30)
        case "no path":
            return requests.get(f"{gateway.url}/nothing", headers=headers, timeout=30)
        case "large body":
            body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            return requests.post(f"{gateway.url}/api/auth/token", data=body, headers=headers, timeout=30)
        case "large header":
            headers["X-Large"] = "x" * 70_000
            return requests.get(f"{gateway.url}/api/products", headers=headers, timeout=30)
        case _:
            # The only request that the limits allow.
            requests.get(f"{gateway.url}/api/products", timeout=30)
            return requests.get(f"{gateway.url}/api/products", headers=headers, timeout=30)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("no token", NotAuthenticated()),
        ("bad token", InvalidToken()),
        ("no path", Http404()),
        ("large body", RequestDataTooBig()),
        ("large header", SuspiciousOperation()),
        ("too many", Throttled(1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_equals_that_of_the_shop(one: Recorder, kind: str, error: Exception, language: str) -> None:
    with gateway_before(one.port, files=limits(of_address=1 if kind == "too many" else None)) as gateway:
        answer = refused(gateway, kind, language)
    status, body, headers = shop_response(error, language)
    assert answer.status_code == status
    received = answer.json()
    assert list(received) == list(body)
    assert {name: received[name] for name in received.keys() - OF_ONE_REQUEST} == {
        name: body[name] for name in body.keys() - OF_ONE_REQUEST
    }
    assert received["requestId"] == answer.headers["X-Request-ID"]
    assert answer.request.path_url.startswith(received["instance"])
    for name in ("Content-Type", "Content-Language", "Vary", "WWW-Authenticate", "Retry-After"):
        assert answer.headers.get(name) == headers.get(name), name


def test_an_instance_is_the_path_as_sent(gateway: Address) -> None:
    answer = requests.get(f"{gateway.url}/api/orders/%EA%B0%80%22?q=1", timeout=30)
    assert answer.json()["instance"] == "/api/orders/%EA%B0%80%22"


def test_no_request_breaks_the_document(gateway: Address) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(b'GET /api/a"},"b\\c HTTP/1.1\r\nHost: x\r\nX-Request-ID: "\r\nConnection: close\r\n\r\n')
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401")
    assert json.loads(body)["instance"] == "/api/a"


HEADERS = [
    "", "ko", "en", "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "en-US,en;q=0.9,ko;q=0.8", "fr", "fr,ko;q=0.5",
    "ko;q=0, en", "en;q=0.5, ko", "*", "KO", "kok", "en,ko", "ja, ko-KR;q=0.8, en;q=0.5",
]  # fmt: skip


def test_the_language_is_chosen_as_in_the_shop(gateway: Address) -> None:
    received = {}
    for header in HEADERS:
        answer = requests.get(f"{gateway.url}/nothing", headers={"Accept-Language": header}, timeout=30)
        received[header] = answer.headers["Content-Language"]
    assert received == {header: _language_of(header) for header in HEADERS}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_an_unsupported_method(gateway: Address, language: str) -> None:
    answer = requests.request("TRACE", f"{gateway.url}/api/products", headers={"Accept-Language": language}, timeout=30)
    status, title, detail = OTHER_PROBLEMS["method_not_allowed"]
    with translation.override(language):
        expected = (status, translation.gettext(title), translation.gettext(detail))
    received = answer.json()
    assert (answer.status_code, received["title"], received["detail"]) == expected
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_without_a_server_the_shop_is_unavailable(closed_port: int, language: str) -> None:
    with gateway_before(closed_port) as gateway:
        answers = [
            requests.request(
                method, f"{gateway.url}{path}", headers={"Accept-Language": language, **headers}, timeout=30
            )
            for method, path, headers in (
                ("GET", "/api/products", {}),
                ("POST", "/api/auth/token", {}),
                ("GET", "/api/orders", WITH_TOKEN),
            )
        ]
    status, body, headers = shop_response(ServiceUnavailable(), language)
    for answer in answers:
        received = answer.json()
        assert (answer.status_code, received["code"], received["type"], received["title"]) == (
            status,
            body["code"],
            body["type"],
            body["title"],
        )
        assert answer.headers["Retry-After"] == headers["Retry-After"]
        assert answer.headers["Content-Language"] == language


class TestLimits:
    def test_apply_to_each_caller(self, one: Recorder) -> None:
        with gateway_before(one.port, files=limits(of_caller=2)) as gateway:
            first = [requests.get(f"{gateway.url}/api/orders", headers=WITH_TOKEN, timeout=30) for _ in range(3)]
            other = {"Authorization": "Bearer good.token.another"}
            second = requests.get(f"{gateway.url}/api/orders", headers=other, timeout=30)
        assert [answer.status_code for answer in first] == [200, 200, 429]
        assert second.status_code == 200
        assert len(one.requests()) == 3
        assert {name: value for name, value in first[-1].headers.items() if "RateLimit" in name} == {
            "RateLimit-Limit": "30",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": "1",
            "RateLimit-Policy": "30;w=1;burst=60",
        }

    def test_of_an_address_count_requests_without_a_token(self, one: Recorder) -> None:
        with gateway_before(one.port, files=limits(of_address=2)) as gateway:
            answers = [requests.get(f"{gateway.url}/api/products/{number}", timeout=30) for number in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[-1].headers["RateLimit-Limit"] == "100"
        assert answers[-1].headers["Retry-After"] == "1"

    def test_of_an_address_count_concurrent_requests(self, one: Recorder) -> None:
        with gateway_before(one.port, files=limits(at_one_time=2)) as gateway:
            slow = [socket.create_connection(("127.0.0.1", gateway.port), timeout=30) for _ in range(2)]
            for connection in slow:
                connection.sendall(b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{")

            def is_refused() -> bool:
                return requests.get(f"{gateway.url}/api/products/1", timeout=30).status_code == 429

            wait_until(is_refused, "both to be under way")
            for connection in slow:
                connection.sendall(b"    ")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
                connection.close()
            wait_until(lambda: not is_refused(), "both to have ended")
