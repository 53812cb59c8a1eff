"""Requests that HTTP libraries do not send, on a connection to the shop's own web server.

Readable requests get a problem document; others get only a status. Neither changes any data.
"""

from http.client import RemoteDisconnected

import pytest

from balances.models import LedgerEntry, User
from commerce.api.authentication import tokens_for
from tests.factories import UserFactory
from tests.fuzz.web_server import WebServer
from tests.fuzz.wire import exchange, read_answer, read_answers, request_bytes
from tests.shop_state import nothing_changes
from tests.together import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

CHARGE = "/api/balance/charge"
BODY = b'{"amount": 5}'
UNREADABLE = (400, None)
TOO_LARGE = (431, None)


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000)


@pytest.fixture
def token(user: User) -> str:
    return tokens_for(user_id=user.pk, is_staff=False).access


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/api/products/%00", (404, "not_found")),
        ("/api/products/\x00", UNREADABLE),
        ("/api/products/%ff", (404, "not_found")),
        ("/api/products/\xff", UNREADABLE),
        ("/api/products/%zz", (404, "not_found")),
        ("//api/products", (404, "not_found")),
        ("/api/..%2f..%2fetc/passwd", (404, "not_found")),
        ("/static/..%2f..%2fmanage.py", (404, "not_found")),
        ("/static/%00", (404, "not_found")),
        ("/api/products%0d%0aX-Injected:%20yes", (404, "not_found")),
        (f"/api/products/{2**63}", (404, "not_found")),
        (f"/api/products/{10**30}", (404, "not_found")),
        ("/api/products/-1", (404, "not_found")),
        ("/api/products/" + "1" * 60_000, (404, "not_found")),
        ("/api/products/" + "1" * 1_000_000, TOO_LARGE),
        ("*", (404, "not_found")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_absurd_path_is_not_found(web: WebServer, path: str, outcome: tuple[int, str | None]) -> None:
    answer = exchange(web, request_bytes("GET", path))
    assert answer.outcome == outcome
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "DELETE", "PUT"])
def test_a_method_that_does_not_fit_is_refused(web: WebServer, user: User, token: str, method: str) -> None:
    with nothing_changes():
        answer = exchange(web, request_bytes(method, CHARGE, token=token, body=BODY))
    assert answer.outcome == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["BREW", "A" * 4_000, "get-", "P0ST"])
def test_an_unknown_method_is_refused(web: WebServer, user: User, token: str, method: str) -> None:
    with nothing_changes():
        assert exchange(web, request_bytes(method, CHARGE, token=token, body=BODY)).outcome == UNREADABLE


def test_a_head_is_the_answer_without_its_body(web: WebServer, user: User, token: str) -> None:
    path = f"/api/balance/{user.pk}"
    head = exchange(web, request_bytes("HEAD", path, token=token))
    get = exchange(web, request_bytes("GET", path, token=token))
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert exchange(web, request_bytes("HEAD", CHARGE, token=token)).status == 405


def test_methods_that_the_shop_does_not_have_share_a_counter(web: WebServer) -> None:
    exchange(web, request_bytes("PROPFIND", "/api/products"))
    counted = exchange(web, request_bytes("GET", "/metrics")).content
    assert b"PROPFIND" not in counted
    assert b'method="other"' in counted


@pytest.mark.parametrize("length", ["abc", "-1", "+13", "1e1", "9" * 30, "13, 14", "13\r\nContent-Length: 12"])
def test_an_invalid_content_length_is_refused(web: WebServer, user: User, token: str, length: str) -> None:
    with nothing_changes():
        answer = exchange(web, request_bytes("POST", CHARGE, token=token, body=BODY, length=length))
    assert answer.outcome == UNREADABLE


@pytest.mark.parametrize(
    ("length", "outcome"),
    [
        (5, (400, "malformed_json")),
        (10, (400, "malformed_json")),
        (0, (400, "validation_error")),
        ("", (400, "validation_error")),
        (2**63 - 1, (413, "payload_too_large")),
        (300_000, (413, "payload_too_large")),
    ],
)
def test_a_length_that_is_wrong_is_refused(
    web: WebServer, user: User, token: str, length: object, outcome: tuple[int, str]
) -> None:
    with nothing_changes():
        answer = exchange(web, request_bytes("POST", CHARGE, token=token, body=BODY, length=length))
    assert answer.outcome == outcome


def test_an_incomplete_body_has_no_effect(web: WebServer, user: User, token: str) -> None:
    with nothing_changes(), pytest.raises(RemoteDisconnected):
        exchange(web, request_bytes("POST", CHARGE, token=token, body=BODY, length=50), end=True)


def test_a_half_closed_connection_gets_its_response(web: WebServer, user: User, token: str) -> None:
    answer = exchange(web, request_bytes("POST", CHARGE, token=token, body=BODY), end=True)
    assert (answer.status, answer.json["balance"]) == (200, 1_005)
    assert answer.headers["connection"] == "close"


def test_garbage_after_a_request_does_not_affect_its_response(web: WebServer, user: User, token: str) -> None:
    answer = exchange(web, request_bytes("POST", CHARGE, token=token, body=BODY) + b"neither HTTP\r\n nor JSON")
    assert (answer.status, answer.json["balance"]) == (200, 1_005)
    assert answer.headers["connection"] == "close"


def in_chunks(*chunks: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + last


def chunked(token: str, body: bytes, *headers: str) -> bytes:
    head = request_bytes(
        "POST", CHARGE, "Transfer-Encoding: chunked", "Content-Type: application/json", *headers, token=token
    )
    return head + body


def test_a_body_in_chunks_is_a_body(web: WebServer, user: User, token: str) -> None:
    answer = exchange(web, chunked(token, in_chunks(BODY[:3], BODY[3:])))
    assert (answer.status, answer.json["balance"]) == (200, 1_005)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (in_chunks(b'{"a', last=b"ZZ\r\n"), UNREADABLE),
        (in_chunks(b" " * 262_144, b" "), (413, "payload_too_large")),
        (in_chunks(), (400, "validation_error")),
    ],
    ids=["broken", "too large", "empty"],
)
def test_an_invalid_chunked_body_is_refused(
    web: WebServer, user: User, token: str, body: bytes, outcome: tuple[int, str]
) -> None:
    with nothing_changes():
        assert exchange(web, chunked(token, body)).outcome == outcome


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/3.0\r\nHost: shop\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : shop\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: shop\r\nX-Folded: a\r\n b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: shop\r\nX-Request-ID: a\x01b\r\n\r\n",
    ],
    ids=["TLS", "HTTP/0.9", "HTTP/3.0", "space before the colon", "folded header", "control character"],
)
def test_data_that_is_not_http_is_refused(web: WebServer, sent: bytes) -> None:
    assert exchange(web, sent).outcome == UNREADABLE


@pytest.mark.parametrize(
    "headers", [[f"X-{number}: a" for number in range(5_000)], ["X-Long: " + "a" * 1_000_000]], ids=["many", "long"]
)
def test_too_large_headers_are_refused(web: WebServer, headers: list[str]) -> None:
    assert exchange(web, request_bytes("GET", "/livez", *headers)).outcome == TOO_LARGE


@pytest.mark.parametrize("header", ["Host: a", "Host: a b", "Host: \x80", "Host: evil.example/@shop"])
def test_a_host_that_is_none_or_two_is_refused(web: WebServer, header: str) -> None:
    sent = f"GET /api/products HTTP/1.1\r\nHost: shop{header[5:]}\r\n{header}\r\n\r\n".encode("latin-1")
    assert exchange(web, sent).outcome == (400, "validation_error")


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        ("X-Request-ID: " + "a" * 10_000, (404, "order_not_found")),
        ("Accept: \xff;;q=zz,,,", (406, "not_acceptable")),
        ("Accept: ;;;", (406, "not_acceptable")),
        ("Accept-Language: \xff" + "-" * 9_000, (404, "order_not_found")),
        ("Accept-Language: ko;q=9,*;q=zz,,", (404, "order_not_found")),
        ('If-None-Match: """,W/,*\xff', (404, "order_not_found")),
        ("If-Modified-Since: 99 Foo 99999", (404, "order_not_found")),
        ("Range: bytes=9-1,-", (404, "order_not_found")),
        ("Cookie: a;=;\xff;sessionid=" + "x" * 5_000, (404, "order_not_found")),
        ("X-HTTP-Method-Override: DELETE", (404, "order_not_found")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_absurd_header_is_ignored_or_refused(
    web: WebServer, user: User, token: str, header: str, outcome: tuple[int, str]
) -> None:
    answer = exchange(web, request_bytes("GET", "/api/orders/1", header, token=token))
    assert answer.outcome == outcome
    assert answer.headers["x-request-id"] == answer.json["requestId"]
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "header", ["Bearer \xff\xfe", "Bearer", "Bearer a b c", "Basic x", "Bearer " + "a." * 4_000, "\x80", "Token x"]
)
def test_an_invalid_authorization_is_refused(web: WebServer, user: User, header: str) -> None:
    with nothing_changes():
        answer = exchange(web, request_bytes("POST", CHARGE, f"Authorization: {header}", body=BODY))
    assert answer.status == 401
    assert answer.json["code"] in ("not_authenticated", "token_not_valid")


@pytest.mark.parametrize("key", ["\xe9", "\xea\xb0\x90", "a" * 256, "", "a b"])
def test_an_invalid_idempotency_key_is_refused(web: WebServer, user: User, token: str, key: str) -> None:
    with nothing_changes():
        answer = exchange(web, request_bytes("POST", CHARGE, f"Idempotency-Key: {key}", token=token, body=BODY))
    assert answer.outcome == (400, "validation_error")


def test_a_key_sent_twice_is_one_key_and_its_effect_happens_once(web: WebServer, user: User, token: str) -> None:
    twice = request_bytes("POST", CHARGE, "Idempotency-Key: a", "Idempotency-Key: b", token=token, body=BODY)
    first, again = exchange(web, twice), exchange(web, twice)
    assert (first.status, again.headers["idempotent-replayed"], again.content) == (200, "true", first.content)
    assert LedgerEntry.objects.filter(user=user).count() == 2


def test_pipelined_requests_are_answered_in_turn_for_their_callers(web: WebServer) -> None:
    mina, juno = UserFactory(balance=1), UserFactory(balance=2)
    asked = [
        request_bytes("GET", f"/api/balance/{each.pk}", token=tokens_for(user_id=each.pk, is_staff=False).access)
        for each in (mina, juno, mina)
    ]
    with web.connect() as connection:
        connection.sendall(b"".join(asked) + request_bytes("GET", f"/api/balance/{mina.pk}", "Connection: close"))
        *answers, (status, problem) = read_answers(connection)
    assert [(each_status, answer["balance"]) for each_status, answer in answers] == [(200, 1), (200, 2), (200, 1)]
    assert (status, problem["code"]) == (401, "not_authenticated")


def test_endless_requests_do_not_affect_others(web: WebServer, user: User, token: str) -> None:
    """Incomplete request lines and headers: three hundred times, while other requests are served."""
    with nothing_changes():
        unfinished = [web.connect() for _ in range(300)]
        for number, connection in enumerate(unfinished):
            connection.sendall(b"POST /api/bal" if number % 2 else b"POST /api/balance/charge HTTP/1.1\r\nHost: sh")
        assert exchange(web, request_bytes("GET", f"/api/balance/{user.pk}", token=token)).status == 200
        for connection in unfinished:
            connection.close()


def test_endless_bodies_lose_their_connection(web: WebServer, user: User, token: str) -> None:
    unfinished = [web.connect(timeout_seconds=PATIENCE_SECONDS) for _ in range(300)]
    with nothing_changes():
        for connection in unfinished:
            connection.sendall(request_bytes("POST", CHARGE, token=token, body=BODY[:-1], length=len(BODY)))
        assert exchange(web, request_bytes("GET", "/livez")).status == 200
        assert exchange(web, request_bytes("GET", f"/api/balance/{user.pk}", token=token)).status == 200
    assert exchange(web, request_bytes("POST", CHARGE, token=token, body=BODY)).status == 200
    with nothing_changes():
        assert {read_answer(connection).status for connection in unfinished} == {408}
    for connection in unfinished:
        connection.close()
