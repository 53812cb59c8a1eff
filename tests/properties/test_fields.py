"""Fields of requests: money, ids and keys, for any JSON and any header."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from balances.rules import LARGEST_CHARGE_WON
from balances.serializers import ChargeRequestSerializer
from commerce.api.answers import claim_of
from commerce.api.authentication import Caller
from orders.serializers import OrderRequestSerializer
from reservations.rules import LARGEST_QUANTITY, MOST_ITEMS

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=8,
)
NUMBERS = st.integers(-5, 12) | st.integers(LARGEST_CHARGE_WON - 2, LARGEST_CHARGE_WON + 2) | st.integers()
IDS = st.integers(1, 6) | st.integers(2**63 - 2, 2**63 + 1)


def is_number(value: object, least: int, most: int) -> bool:
    """A JSON integer: neither `true` nor 5.0."""
    return type(value) is int and least <= value <= most


class TestMoney:
    @given(amount=NUMBERS | ANY_JSON)
    @example(True)
    @example(1.0)
    @example("1")
    def test_an_amount_is_a_whole_number_of_won_within_its_bounds_or_refused(self, amount: Any) -> None:
        body = ChargeRequestSerializer(data={"amount": amount})
        fits = is_number(amount, 1, 10_000_000)
        assert body.is_valid() == fits
        if fits:
            assert body.validated_data == {"amount": amount}
        else:
            assert set(body.errors) == {"amount"}

    @given(body=ANY_JSON)
    def test_any_body_of_a_charge_is_read_or_refused(self, body: Any) -> None:
        if ChargeRequestSerializer(data=body).is_valid():
            assert is_number(body["amount"], 1, 10_000_000)


class TestCarts:
    LINES = st.fixed_dictionaries({"productId": IDS, "quantity": st.integers(-1, 3) | st.integers(998, 1_002)})

    @given(items=st.lists(LINES, max_size=4), coupon=st.none() | IDS)
    def test_a_cart_is_valid_exactly_if_its_numbers_are_and_products_differ(
        self, items: list[Any], coupon: int | None
    ) -> None:
        names = [item["productId"] for item in items]
        fits = (
            1 <= len(items) <= MOST_ITEMS
            and all(is_number(name, 1, 2**63 - 1) for name in names)
            and all(is_number(item["quantity"], 1, LARGEST_QUANTITY) for item in items)
            and len(set(names)) == len(names)
            and (coupon is None or is_number(coupon, 1, 2**63 - 1))
        )
        body = OrderRequestSerializer(data={"items": items, "userCouponId": coupon})
        assert body.is_valid() == fits
        if fits:
            read = body.validated_data
            assert (read["items"], read["userCouponId"], read["reservationId"]) == (items, coupon, None)

    @given(body=ANY_JSON | st.fixed_dictionaries({"items": ANY_JSON | st.lists(ANY_JSON, max_size=3)}))
    def test_any_body_of_an_order_is_read_or_refused(self, body: Any) -> None:
        if OrderRequestSerializer(data=body).is_valid() and "items" in body:
            assert all(is_number(item["quantity"], 1, LARGEST_QUANTITY) for item in body["items"])


def request_with(key: str | None, *, path: str = "/api/orders", caller_id: int = 1) -> Request:
    headers = {} if key is None else {"Idempotency-Key": key}
    request = Request(APIRequestFactory().post(path, headers=headers))
    request.user = Caller(caller_id, is_staff=False)  # type: ignore[assignment]  # as the API's own authentication does
    return request


class TestIdempotencyKeys:
    # What a header can carry: the server reads its bytes as Latin-1.
    HEADERS = st.text(st.characters(max_codepoint=255), max_size=300)
    VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)

    @given(key=HEADERS | VISIBLE)
    @example("x" * 255)
    @example("x" * 256)
    @example("x\n")
    def test_a_key_is_1_to_255_visible_characters_or_refused(self, key: str) -> None:
        if 1 <= len(key) <= 255 and all("!" <= character <= "~" for character in key):
            claim = claim_of(request_with(key), None)
            assert claim is not None
            assert claim.key == key
        else:
            with pytest.raises(ValidationError):
                claim_of(request_with(key), None)

    @given(key=VISIBLE, body=ANY_JSON, other_body=ANY_JSON, paths=st.lists(st.sampled_from("ab"), min_size=2))
    def test_requests_are_the_same_exactly_if_path_and_body_are(
        self, key: str, body: Any, other_body: Any, paths: list[str]
    ) -> None:
        first = claim_of(request_with(key, path=f"/api/{paths[0]}"), body)
        second = claim_of(request_with(key, path=f"/api/{paths[1]}"), other_body)
        assert first is not None
        assert second is not None
        alike = json.dumps(body, sort_keys=True) == json.dumps(other_body, sort_keys=True)
        assert (first.fingerprint == second.fingerprint) == (alike and paths[0] == paths[1])

    @given(body=st.dictionaries(st.text(max_size=5), ANY_JSON, max_size=5))
    def test_the_order_of_a_bodys_fields_does_not_matter(self, body: dict[str, Any]) -> None:
        turned = dict(reversed(body.items()))
        first, second = (claim_of(request_with("key"), each) for each in (body, turned))
        assert first is not None
        assert first == second

    def test_without_the_header_there_is_no_claim(self) -> None:
        assert claim_of(request_with(None), {}) is None
