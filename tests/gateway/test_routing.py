"""Which requests the gateway forwards, and what a web server receives."""

import re

import pytest
import requests

from tests.contract.test_routes_and_schema import CONTRACT
from tests.gateway.limits import NO_LIMITS
from tests.gateway.nginx import Address, gateway_before
from tests.gateway.recorder import TOKEN, Recorder
from tests.together import wait_until

WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


def get(gateway: Address, path: str, **headers: str) -> requests.Response:
    """GET of exactly this path; a library would normalize it."""
    request = requests.Request("GET", gateway.url, headers={"User-Agent": "a test", **headers}).prepare()
    request.url = f"{gateway.url}{path}"
    with requests.Session() as session:
        return session.send(request, timeout=30, allow_redirects=False)


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/readyz", "/livez", "/internal/token", "/internal/x", "//metrics", "/%6detrics", "/static/../metrics",
     "/api/products/..%2f..%2freadyz", "/problem.json", "/server-status", "/metrics?x=/api/products"],
)  # fmt: skip
def test_operators_paths_are_hidden(gateway: Address, one: Recorder, path: str) -> None:
    answer = get(gateway, path, **WITH_TOKEN)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"
    assert one.asked == []


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/products", "/api/products?page=2", "/api/products/popular", "/api/products/7", "/api/coupons",
     "/api/auth/token", "/api/schema", "/api/docs", "/problems", "/problems/not-found", "/admin/", "/static/app.css"],
)  # fmt: skip
def test_public_paths_need_no_token_verification(gateway: Address, one: Recorder, path: str) -> None:
    assert get(gateway, path).status_code == 200
    assert [asked.path for asked in one.asked] == [path]


@pytest.mark.parametrize(
    "path", ["/api/users/me", "/api/orders", "/api/coupons/1/issue", "/api/new", "/api/products/../orders"]
)
class TestAnyOtherPathOfTheApi:
    def test_without_a_token_no_server_is_called(self, gateway: Address, one: Recorder, path: str) -> None:
        answer = get(gateway, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
        assert one.asked == []

    def test_with_an_invalid_token_only_the_verification_is_called(
        self, gateway: Address, one: Recorder, path: str
    ) -> None:
        answer = get(gateway, path, Authorization="Bearer bad.bad.bad")
        assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
        assert len(one.verdicts()) == 1
        assert one.requests() == []

    def test_with_a_valid_one_it_is_forwarded(self, gateway: Address, one: Recorder, path: str) -> None:
        assert get(gateway, path, **WITH_TOKEN).status_code == 200
        assert [asked.path for asked in one.requests()] == [path]


def test_operations_require_a_token_as_in_the_contract(gateway: Address, one: Recorder) -> None:
    for (method, path), (needs_token, _) in CONTRACT.items():
        one.asked.clear()
        url = gateway.url + re.sub(r"\{\w+\}", "1", path)
        assert requests.request(method, url, timeout=30).status_code == (401 if needs_token else 200), path
        assert bool(one.asked) != needs_token, path


def test_a_result_is_cached_for_its_token_only(gateway: Address, one: Recorder) -> None:
    for _ in range(3):
        get(gateway, "/api/orders", **WITH_TOKEN)
        get(gateway, "/api/orders", Authorization="Bearer bad.bad.bad")
    assert 2 <= len(one.verdicts()) < 6
    assert len(one.requests()) == 3


def test_a_preflight_needs_no_token(gateway: Address, one: Recorder) -> None:
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert requests.options(f"{gateway.url}/api/orders", headers=preflight, timeout=30).status_code == 200
    assert requests.options(f"{gateway.url}/api/orders", timeout=30).status_code == 401
    [asked] = one.requests()
    assert asked.headers["origin"] == "https://shop.example"


FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "True-Client-IP": "203.0.113.9",
    "CF-Connecting-IP": "203.0.113.9",
    "X-User-ID": "1",
    "X-Remote-User": "admin",
    "Remote-User": "admin",
    "X-Authenticated-Userid": "1",
    "X-Original-URL": "/metrics",
    "X-Rewrite-URL": "/metrics",
    "X-HTTP-Method-Override": "DELETE",
    "X-Accel-Redirect": "/metrics",
    "Proxy": "http://evil.example",
    "X-Whatever-Comes-Next": "evil",
}


@pytest.mark.parametrize("path", ["/api/users/me", "/api/products", "/api/products/7", "/admin/", "/static/app.css"])
def test_forged_headers_are_removed(gateway: Address, one: Recorder, path: str) -> None:
    get(gateway, path, **WITH_TOKEN, **FORGED)
    for asked in one.asked:
        ours = {name: asked.headers.pop(name) for name in ("x-forwarded-for", "x-forwarded-proto")}  # type: ignore[attr-defined]
        assert ours == {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"}
        assert asked.headers.keys() & {name.lower() for name in FORGED} == set()
        assert [value for value in asked.headers.values() if "evil" in value or "203.0.113.9" in value] == []


def test_headers_that_the_shop_reads_are_forwarded(gateway: Address, one: Recorder) -> None:
    sent = {
        "Accept": "application/json",
        "Accept-Language": "ko",
        "Content-Type": "application/json",
        "Idempotency-Key": "once",
        "If-None-Match": '"x"',
        "User-Agent": "a test",
        "X-Request-ID": "mine-1",
        **WITH_TOKEN,
    }
    requests.post(f"{gateway.url}/api/orders", data=b"{}", headers=sent, timeout=30)
    [asked] = one.requests()
    assert {name: asked.headers[name.lower()] for name in sent} == sent
    assert asked.headers["host"] == f"127.0.0.1:{gateway.port}"
    assert asked.body == b"{}"


class TestTheIdOfARequest:
    @pytest.mark.parametrize("path", ["/api/products/7", "/metrics"])
    def test_is_the_caller_s_where_it_is_sane(self, gateway: Address, one: Recorder, path: str) -> None:
        answer = get(gateway, path, **{"X-Request-ID": "mine:1/2"})
        assert answer.headers["X-Request-ID"] == "mine:1/2"
        assert [asked.headers["x-request-id"] for asked in one.asked] == ["mine:1/2"] * len(one.asked)

    def test_is_the_gateway_s_where_it_is_not(self, gateway: Address, one: Recorder) -> None:
        answer = get(gateway, "/api/products/7", **{"X-Request-ID": 'x" or 1'})
        [asked] = one.asked
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
        assert asked.headers["x-request-id"] == answer.headers["X-Request-ID"]

    def test_is_new_for_a_page_from_the_cache(self, gateway: Address) -> None:
        ids = {get(gateway, "/api/products").headers["X-Request-ID"] for _ in range(3)}
        assert len(ids) == 3


class TestATrace:
    def test_of_a_client_goes_on(self, gateway: Address, one: Recorder) -> None:
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
        get(gateway, "/api/products/7", traceparent=parent, tracestate="a=1")
        [asked] = one.asked
        assert (asked.headers["traceparent"], asked.headers["tracestate"]) == (parent, "a=1")

    @pytest.mark.parametrize("given", ["", "00-0-0-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "x"])
    def test_begins_here_where_there_is_none(self, gateway: Address, one: Recorder, given: str) -> None:
        answer = get(gateway, "/api/products/7", traceparent=given, tracestate="a=1")
        [asked] = one.asked
        identifier = answer.headers["X-Request-ID"]
        assert asked.headers["traceparent"] == f"00-{identifier}-{identifier[:16]}-01"
        assert "tracestate" not in asked.headers


def test_answers_have_the_security_headers_once(gateway: Address) -> None:
    for path in ("/api/products/7", "/metrics", "/api/orders"):
        answer = get(gateway, path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Server"] == "nginx"


def test_a_refusal_is_for_the_pages_of_allowed_origins(one: Recorder) -> None:
    with gateway_before(one.port, files=NO_LIMITS, origins=["https://shop.example"]) as gateway:
        ours = get(gateway, "/api/orders", Origin="https://shop.example").headers
        theirs = get(gateway, "/api/orders", Origin="https://evil.example").headers
    assert ours["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Retry-After" in ours["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in theirs


class TestACachedList:
    @pytest.mark.parametrize("path", ["/api/products", "/api/products/popular", "/api/products?page=2"])
    def test_is_requested_once_per_second(self, gateway: Address, one: Recorder, path: str) -> None:
        answers = [get(gateway, path) for _ in range(20)]
        assert len(one.asked) < 20
        assert {answer.headers["X-Cache"] for answer in answers} >= {"HIT"}
        asked = len(one.asked)
        wait_until(lambda: get(gateway, path).headers["X-Cache"] == "EXPIRED", "the second to be over")
        assert len(one.asked) == asked + 1

    def test_is_cached_per_query(self, gateway: Address, one: Recorder) -> None:
        for headers in ({}, {"Origin": "https://a.example"}, {"Accept": "application/json"}, {"Host": "other.example"}):
            one.asked.clear()
            get(gateway, "/api/products", **headers)
            assert len(one.asked) == 1, headers

    def test_is_not_cached_for_refusals(self, gateway: Address, one: Recorder) -> None:
        one.status = 400
        for _ in range(3):
            assert get(gateway, "/api/products?unknown=1").status_code == 400
        assert len(one.asked) == 3

    @pytest.mark.parametrize("condition", ["If-Match", "If-Unmodified-Since"])
    def test_with_other_conditions_is_answered_by_the_shop(
        self, gateway: Address, one: Recorder, condition: str
    ) -> None:
        for _ in range(2):
            assert get(gateway, "/api/products", **{condition: '"x"'}).status_code == 200
        assert [asked.headers[condition.lower()] for asked in one.asked] == ['"x"', '"x"']
