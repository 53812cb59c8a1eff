"""Invalid values in every field and parameter are refused, and nothing changes."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from balances.models import User
from products.models import Product
from tests.factories import UserCouponFactory, UserFactory
from tests.shop_state import nothing_changes
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

# JSON texts, because some of them cannot be written as a Python value that survives json.dumps.
NASTY = [
    "null", "true", "false", '""', '" "', '"1"', '"one"', "0", "-1", "-0", "1.0", "1.5", "1e2", "1e400", "-1e400",
    "1" + "0" * 30, "-1" + "0" * 30, str(2**63), str(-(2**63) - 1), "[]", "{}", "[1]", "[[]]", "[null]", '{"a": 1}',
    '{"productId": 1, "quantity": 1}', '"\\u0000"', '"\\ud800"', '"' + "x" * 5_000 + '"', '"1; DROP TABLE product"',
    "[" * 50 + "]" * 50, '"\\u202e"', '"NaN"', "1" * 300, "1" * 4_301,
]  # fmt: skip

REFUSALS = {
    (400, "validation_error"),
    (400, "malformed_json"),
    (401, "not_authenticated"),
    (401, "token_not_valid"),
    (403, "permission_denied"),
    (404, "product_not_found"),
    (400, "coupon_not_usable"),
}


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/balance/charge", '{"amount": @}'),
        ("/api/balance/charge", '{"amount": 1, "userId": @}'),
        ("/api/balance/charge", "@"),
        ("/api/orders", '{"items": @}'),
        ("/api/orders", '{"items": [@]}'),
        ("/api/orders", '{"items": [{"productId": @, "quantity": 1}]}'),
        ("/api/orders", '{"items": [{"productId": PEN, "quantity": @}]}'),
        ("/api/orders", '{"items": [{"productId": PEN, "quantity": 1}, @]}'),
        ("/api/orders", '{"items": [{"productId": PEN, "quantity": 1}], "userCouponId": @}'),
        ("/api/orders", "@"),
        ("/api/auth/token", '{"username": @, "password": "x"}'),
        ("/api/auth/token", '{"username": @}'),
        ("/api/auth/token", "@"),
        ("/api/auth/token/refresh", '{"refresh": @}'),
        ("/api/auth/token/refresh", "@"),
    ],
)
def test_an_invalid_field_value_is_refused(user: User, pen: Product, path: str, template: str) -> None:
    shopper = Shopper(user)
    with nothing_changes():
        for value in NASTY:
            if value == "null" and '"userCouponId": @' in template:
                continue  # valid: an order without a coupon
            body = template.replace("@", value).replace("PEN", str(pen.pk))
            answer = shopper.send("POST", path, body.encode())
            assert answer.outcome in REFUSALS, (value, answer)


@pytest.mark.parametrize("quantity_of_items", [101, 2_000, 10_000])
def test_a_cart_that_is_too_long_is_refused(user: User, quantity_of_items: int) -> None:
    items = [{"productId": number, "quantity": 1} for number in range(1, quantity_of_items + 1)]
    with nothing_changes():
        answer = Shopper(user).post("/api/orders", {"items": items})
    if quantity_of_items == 10_000:
        assert answer.outcome == (413, "payload_too_large")
    else:
        assert answer.outcome == (400, "validation_error")
        assert len(answer.json["errors"]) == 1


def test_errors_of_a_list_are_reported_per_item(user: User) -> None:
    items = [{"productId": 0, "quantity": 0}] * 100
    answer = Shopper(user).post("/api/orders", {"items": items})
    assert len(answer.json["errors"]) == 200
    assert answer.json["detail"] == "200 values are invalid."


UNKNOWN_FIELDS = {"balance": 10**12, "price": 1, "status": "COMPLETED", "isStaff": True, "is_staff": True, "id": 1,
                  "discountAmount": 10**9, "createdAt": "2020-01-01", "__proto__": {}, "": 1, "감": [1]}  # fmt: skip


def test_unknown_fields_of_a_charge_are_refused(user: User) -> None:
    with nothing_changes():
        answer = Shopper(user).post("/api/balance/charge", {**UNKNOWN_FIELDS, "amount": 5})
    assert answer.outcome == (400, "validation_error")
    assert {error["field"] for error in answer.json["errors"]} == UNKNOWN_FIELDS.keys()


def test_unknown_fields_of_an_order_are_refused(user: User, pen: Product) -> None:
    items = [{**UNKNOWN_FIELDS, "productId": pen.pk, "quantity": 1}]
    with nothing_changes():
        answer = Shopper(user).post("/api/orders", {**UNKNOWN_FIELDS, "items": items})
    assert {error["code"] for error in answer.json["errors"]} == {"unknown_field"}
    assert len(answer.json["errors"]) == 2 * len(UNKNOWN_FIELDS)


def test_another_users_id_in_a_body_is_refused(user: User, pen: Product) -> None:
    other = UserFactory(balance=1_000_000)
    shopper = Shopper(user)
    with nothing_changes():
        assert shopper.post("/api/balance/charge", {"amount": 1, "userId": other.pk}).outcome == (
            403,
            "permission_denied",
        )
        order = {"userId": other.pk, "items": [{"productId": pen.pk, "quantity": 1}]}
        assert shopper.post("/api/orders", order).outcome == (400, "validation_error")


HISTORIES = ["/api/users/balance/history", "/api/users/orders", "/api/users/coupons", "/api/coupons"]
BROKEN_CURSORS = ["x", "zzz", "cD0x", "cD1hYmM=", "cD0tMQ==", "bz0xMDAwMDAwMA==", "cj0xJnA9", "%00", "é", "cD0=",
                  "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "cD0xJTAw", "=" * 300, "bz0tNQ=="]  # fmt: skip


@pytest.mark.parametrize("path", HISTORIES)
def test_a_modified_cursor_is_refused_or_harmless(user: User, path: str) -> None:
    """A value that decodes to a position is used, even if no page contained it; all others are refused."""
    UserCouponFactory(user=user)
    shopper = Shopper(user)
    for cursor in BROKEN_CURSORS:
        answer = shopper.get(f"{path}?cursor={quote(cursor, safe='%')}")
        assert answer.status == 200 or answer.outcome == (400, "validation_error"), (cursor, answer)
    assert shopper.get(path, cursor="zzz").outcome == (400, "validation_error")
    assert shopper.get(path, cursor="cD1hYmM=").outcome == (400, "validation_error")  # p=abc


@pytest.mark.parametrize("path", [*HISTORIES, "/api/products"])
@pytest.mark.parametrize(
    "size", ["0", "-1", "101", "1000000", "1" * 5_000, "ten", "1.5", "", " 5", "5 ", "+5", "٣", "²", "1e1", "null"]
)
def test_a_page_size_outside_1_to_100_is_refused(user: User, path: str, size: str) -> None:
    answer = Shopper(user).get(path, pageSize=size)
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("pageSize", "invalid")]


@pytest.mark.parametrize("path", [*HISTORIES, "/api/products", "/api/products/popular"])
def test_unknown_parameters_are_refused(user: User, path: str) -> None:
    query = {"sql": "' OR 1=1", "isStaff": "true", "": "x", "pageSize[]": "5", "user": "1"}
    errors = Shopper(user).get(path, query).json["errors"]
    assert {(error["field"], error["code"]) for error in errors} == {(name, "unknown_parameter") for name in query}


@pytest.mark.parametrize("path", ["/api/coupons/{}/issue", "/api/orders/{}/cancel"])
@pytest.mark.parametrize("number", ["0", "9" * 18, "9" * 19, "-1", "1.0", "abc", "1%20", "0x1", "1;2", "%00"])
def test_an_invalid_number_in_a_path_is_an_unknown_route(user: User, path: str, number: str) -> None:
    with nothing_changes():
        answer = Shopper(user).post(path.format(number))
    assert answer.status == 404
    assert answer.json["code"] == ("not_found" if not number.isdigit() or len(number) > 18 else _missing(path))


def _missing(path: str) -> str:
    return "coupon_not_found" if "coupons" in path else "order_not_found"


KEYS = ["", " ", "a b", "a\tb", "키", "é", "x" * 256, "a\x7fb", "a\x00b"]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key[:10]))
def test_an_invalid_idempotency_key_is_refused(user: User, pen: Product, key: str) -> None:
    unit = UserCouponFactory(user=user)
    shopper = Shopper(user)
    posts: dict[str, Callable[[], object]] = {
        "/api/balance/charge": lambda: {"amount": 1},
        "/api/orders": lambda: {"items": [{"productId": pen.pk, "quantity": 1}]},
        f"/api/coupons/{unit.coupon_id}/issue": dict,
        "/api/orders/1/cancel": dict,
    }
    with nothing_changes():
        for path, body in posts.items():
            content = json.dumps(body()).encode()
            answer = shopper.send("POST", path, content, headers={"Idempotency-Key": key})
            assert answer.outcome == (400, "validation_error"), path
            assert [error["field"] for error in answer.json["errors"]] == ["Idempotency-Key"]


NOT_UTF_8 = ['{"amount": 5}'.encode("utf-16"), '{"amount": 5}'.encode("utf-32"), '{"amount": 5}'.encode("utf-16-be"),
             b"\xef\xbb\xbf" + b'{"amount": 5}', b'{"amount": 5, "note": "\xed\xa0\x80"}',
             b'{"amount": 5, "note": "\xc0\xaf"}', b"\x1f\x8b\x08\x00" + b"x" * 20]  # fmt: skip


@pytest.mark.parametrize("content", NOT_UTF_8, ids=["16", "32", "16-be", "mark", "surrogate", "overlong", "gzip"])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-16"])
def test_json_is_read_as_utf_8_for_any_charset(user: User, content: bytes, content_type: str) -> None:
    with nothing_changes():
        answer = Shopper(user).send("POST", "/api/balance/charge", content, content_type=content_type)
    assert answer.outcome == (400, "malformed_json")


NUMBERS = ["", " 5", "5 ", "+5", "5.0", "1_0", "1e1", "0x5", "٣", "²", "-", "--5", "five", "NaN", "1" * 5_000]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/products", "minPrice"),
        ("/api/products", "maxPrice"),
        ("/api/users/orders", "userId"),
        ("/api/users/coupons", "userId"),
        ("/api/users/balance/history", "userId"),
    ],
)
def test_a_number_in_a_query_has_one_spelling(user: User, path: str, field: str) -> None:
    shopper = Shopper(user)
    for number in [*NUMBERS, "-1", str(2**63), "1" + "0" * 30]:
        answer = shopper.get(path, {field: number})
        assert answer.outcome == (400, "validation_error"), number
        assert [error["field"] for error in answer.json["errors"]] == [field]


@pytest.mark.parametrize("flag", ["", "yes", "1", "t", "on", "TRUE", "True", " true", "null", "0", "no"])
def test_a_flag_in_a_query_is_true_or_false(stranger: Shopper, flag: str) -> None:
    answer = stranger.get("/api/products", inStock=flag)
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("inStock", "invalid")]


DAYS = ["", "20260131", "2026-W05-6", "2026-1-31", "2026-02-30", "0000-01-01", "2026-01-31T00:00:00", "31.01.2026",
        " 2026-01-31", "٢٠٢٦-01-31", "10000-01-01"]  # fmt: skip


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("field", ["from", "to"])
def test_a_day_in_a_query_has_one_spelling(user: User, field: str, day: str) -> None:
    answer = Shopper(user).get("/api/users/balance/history", {field: day})
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [(field, "invalid")]


def test_the_first_and_the_last_day_of_the_range_are_days(user: User) -> None:
    shopper = Shopper(user)
    for days in ({"from": "1970-01-01"}, {"to": "2199-12-31"}, {"from": "1970-01-01", "to": "2199-12-31"}):
        assert len(shopper.get("/api/users/balance/history", days).json["results"]) == 1, days


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2200-01-01", "9999-12-31"])
@pytest.mark.parametrize("field", ["from", "to"])
def test_a_day_outside_the_range_is_refused(user: User, field: str, day: str) -> None:
    answer = Shopper(user).get("/api/users/balance/history", {field: day})
    assert answer.outcome == (400, "validation_error")
    assert answer.json["errors"] == [
        {"field": field, "code": "out_of_range", "message": "A day from 1970-01-01 to 2199-12-31 is needed."}
    ]


def test_spaces_at_the_ends_of_a_password_are_part_of_it(stranger: Shopper) -> None:
    UserFactory(username="mina", password=" correct horse ")
    right = stranger.post("/api/auth/token", {"username": "mina", "password": " correct horse "})
    trimmed = stranger.post("/api/auth/token", {"username": "mina", "password": "correct horse"})
    assert right.status == 200
    assert trimmed.outcome == (401, "not_authenticated")


@pytest.mark.parametrize(
    "tag",
    ["", '"', "*,*", "W/", '"' * 500, "x" * 10_000, '"é"', "\x00", "W/W/x", ", , ,"],
    ids=lambda tag: repr(tag)[:12],
)
def test_an_invalid_if_none_match_matches_nothing(stranger: Shopper, tag: str) -> None:
    for path in ("/api/products", "/api/products/popular"):
        assert stranger.get(path, headers={"If-None-Match": tag}).status == 200
