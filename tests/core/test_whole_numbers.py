"""Text is parsed as a whole number within its bounds, or as None; never an error."""

import pytest

from commerce.core.whole_numbers import LARGEST_ID, whole_number
from commerce.embedded.errors import BadSetting
from commerce.embedded.sink import BadSignature, verify_signature
from commerce.embedded.variables import number

TOO_LONG = "9" * 4_301
"""`int()` raises ValueError for it."""


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("0012", 12), (str(LARGEST_ID), LARGEST_ID)])
def test_ascii_digits_within_the_bounds_are_a_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", " 7", "7 ", "+7", "-7", "1_0", "٣", "²", "1.0", "x", str(2**63), TOO_LONG])
def test_any_other_text_is_no_number(text: str) -> None:
    assert whole_number(text) is None


def test_a_number_above_the_bound_of_its_caller_is_none() -> None:
    assert (whole_number("99", most=99), whole_number("100", most=99), whole_number("0" * 9, most=99)) == (
        99,
        None,
        None,
    )


def test_a_setting_that_is_too_long_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", TOO_LONG)
    with pytest.raises(BadSetting, match="PORT"):
        number("PORT", 8000, least=1, most=65535)


def test_a_signature_of_a_time_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify_signature(f"t={TOO_LONG},v1=00", b"", secret="secret", now=0.0)
