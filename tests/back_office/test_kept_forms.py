"""The preview of a form that was submitted after its session had ended."""

from django.utils import translation

from commerce.staff_access.kept_forms import KeptForm

FORM = KeptForm(
    "/admin/balances/user/7/adjust/",
    [("direction", ["credit"]), ("amount_won", ["500"]), ("is_active", ["on"]), ("discount_type", ["PERCENT"])],
)


def test_it_shows_choices_as_their_page_does() -> None:
    with translation.override("en"):
        assert list(FORM.shown) == [
            ("What to do", "Credit: the customer gets"),
            ("Amount (won)", "500"),
            ("Active", "yes"),
            ("Discount type", "Percent"),
        ]


def test_in_korean_too() -> None:
    with translation.override("ko"):
        shown = list(FORM.shown)
    assert all(label.isascii() is False for label, _ in shown)
    assert [value.isascii() for _, value in shown] == [False, True, False, False]
