"""Any sequence of requests, refusals, repeats, edits and times has the same effect on the shop and on the model.

Each control removes one rule from the shop; the same search must then find a counterexample.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties import weakened
from tests.properties.shop_machine import ShopMachine
from tests.properties.two_shops import Disagreement
from tests.properties.wire import STATUS_OF

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = settings().max_examples * 3 // 5
"""Each example needs a whole shop with its checks, so there are fewer than for pure rules."""

SUCCESSES = {"Charge", "Issue", "Buy", "TakeBack", "GiveBack", "by staff", "replayed"}
OUTCOMES = SUCCESSES | {"coupon_terms_fixed", *STATUS_OF}


def test_the_shop_does_what_the_model_does() -> None:
    ShopMachine.met.clear()
    run_state_machine_as_test(ShopMachine, settings=settings(max_examples=EXAMPLES))
    met = OUTCOMES & ShopMachine.met.keys()
    assert met >= SUCCESSES
    assert len(met) >= len(OUTCOMES) * 3 / 4, f"nothing is known of {OUTCOMES - met}: they never came up"


@pytest.mark.parametrize(
    ("weakness", "noticed"),
    [
        (weakened.overdrafts, "InsufficientBalance"),
        (weakened.stock_kept_after_a_cancel, r"stock_movement: is \[\]"),
        (weakened.discounts_rounded_up, "discountAmount|insufficient_balance|InsufficientBalance"),
        (weakened.answers_forgotten, r"idempotency_key: is \[\]"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_control_a_removed_rule_is_detected(weakness: Callable[[], AbstractContextManager[None]], noticed: str) -> None:
    search = settings(max_examples=5 * EXAMPLES, phases=[Phase.generate], report_multiple_bugs=False)
    with weakness(), pytest.raises(Disagreement, match=noticed):
        run_state_machine_as_test(ShopMachine, settings=search)
