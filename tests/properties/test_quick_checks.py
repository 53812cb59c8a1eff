"""The quick check of a body is consistent with its serializer: values accepted by the first are accepted by both."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework import serializers

from balances.serializers import ChargeRequestSerializer, TokenRequestSerializer
from commerce.api.fields import BodySerializer, IdField, StrictIntegerField
from commerce.api.validation import NOT_TAKEN, QuickCheck, quick_check
from orders.serializers import OrderRequestSerializer
from tests.properties.test_fields import ANY_JSON, IDS, NUMBERS

QUICK = [ChargeRequestSerializer, OrderRequestSerializer]


def check_of(serializer: type[BodySerializer]) -> QuickCheck:
    check = quick_check(serializer)
    assert check is not None
    return check


def both_agree(serializer: type[BodySerializer], body: Any) -> bool:
    """Whether the quick check accepted the body; it may refuse more than the serializer, but not less."""
    judge = serializer(data=body)
    fits = judge.is_valid()
    try:
        values = check_of(serializer).values_of(body)
    except NOT_TAKEN:
        return False
    assert fits, body
    assert values == judge.validated_data
    return True


def charges(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={"amount": values, "userId": values, "note": values})


@given(charges(NUMBERS | IDS | ANY_JSON) | ANY_JSON)
@example({"amount": True})
@example({"amount": 5.0})
@example({"amount": "5"})
@example({"amount": 1, "userId": None})
@example({"amount": 2**80})
@example({"amount": 1, "note": 1})
@example({"amount": "\ud800"})
@example({"\ud800": 1, "amount": 1})
def test_a_charge(body: Any) -> None:
    both_agree(ChargeRequestSerializer, body)


LINES = st.fixed_dictionaries({"productId": IDS | NUMBERS, "quantity": NUMBERS}, optional={"note": ANY_JSON}) | ANY_JSON


@given(
    st.fixed_dictionaries(
        {"items": st.lists(LINES, max_size=4) | ANY_JSON}, optional={"userCouponId": IDS | ANY_JSON, "note": ANY_JSON}
    )
    | ANY_JSON
)
@example({"items": [{"productId": 1, "quantity": 1}, {"productId": 1, "quantity": 2}]})
@example({"items": [{"productId": 1, "quantity": 1}] * 101})
@example({"items": [{"productId": 1, "quantity": 1, "note": 1}]})
@example({"items": [{"productId": 1, "quantity": 1}], "note": 1})
@example({"items": ""})
@example({"items": ["\ud800"]})
@example({"items": {"0": {"productId": 1, "quantity": 1}}})
def test_an_order(body: Any) -> None:
    both_agree(OrderRequestSerializer, body)


@given(st.integers(1, 10_000_000), st.none() | st.integers(1, 2**63 - 1))
def test_a_good_charge_is_taken_at_once(amount: int, user_id: int | None) -> None:
    assert both_agree(ChargeRequestSerializer, {"amount": amount, **({"userId": user_id} if user_id else {})})


@given(
    st.dictionaries(st.integers(1, 2**63 - 1), st.integers(1, 1_000), min_size=1, max_size=6),
    st.none() | st.integers(1, 2**63 - 1),
)
def test_a_good_order_is_taken_at_once(quantities: dict[int, int], coupon: int | None) -> None:
    items = [{"productId": product, "quantity": quantity} for product, quantity in quantities.items()]
    assert both_agree(OrderRequestSerializer, {"items": items, "userCouponId": coupon})
    assert both_agree(OrderRequestSerializer, {"items": items})


class Even:
    def __call__(self, value: int) -> None:
        if value % 2:
            raise serializers.ValidationError("Odd.")


class WithTwoFields(BodySerializer):
    least, most = StrictIntegerField(), StrictIntegerField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return attrs


class WithAValidator(BodySerializer):
    number = StrictIntegerField(min_value=1, validators=[Even()])


class WithAnotherName(BodySerializer):
    number = IdField(source="id")


class WithANewDefault(BodySerializer):
    number = IdField(default=lambda: 1)


class WithARuleInside(BodySerializer):
    class Inner(BodySerializer):
        number = IdField()

        def validate_number(self, number: int) -> int:
            return number

    inner = Inner()


@pytest.mark.parametrize(
    "serializer",
    [TokenRequestSerializer, WithTwoFields, WithAValidator, WithAnotherName, WithANewDefault, WithARuleInside],
)
def test_what_no_type_can_express_is_left_to_the_serializer(serializer: type[BodySerializer]) -> None:
    assert quick_check(serializer) is None
