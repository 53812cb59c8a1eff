"""Cursor pagination, for any history, page size and direction; and for invalid cursors."""

from base64 import b64encode
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from balances.models import User
from commerce.api.paging import HistoryPages
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

HISTORY = 23
JUNK = st.text(max_size=40) | st.binary(max_size=40).map(lambda junk: b64encode(junk).decode())
FORGED = st.fixed_dictionaries(
    {},
    optional={
        "p": st.integers().map(str) | st.text(max_size=30) | st.floats().map(str),
        "o": st.integers().map(str) | st.text(max_size=5),
        "r": st.sampled_from(["0", "1", "2", "-1", "x", ""]),
    },
).map(lambda parts: b64encode(urlencode(parts, errors="surrogatepass").encode()).decode())


class Page:
    """One page of the users, as a client gets it."""

    def __init__(self, cursor: str | None, size: int) -> None:
        query = {"pageSize": str(size)} | ({} if cursor is None else {"cursor": cursor})
        pages = HistoryPages()
        found = pages.paginate_queryset(User.objects.all(), Request(RequestFactory().get("/", query)))
        self.ids = [user.pk for user in found or []]
        self.next = _cursor(pages.get_next_link())
        self.previous = _cursor(pages.get_previous_link())


def _cursor(link: str | None) -> str | None:
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None


@pytest.fixture
def ids() -> list[int]:
    """Of all users, newest first."""
    return sorted((UserFactory().pk for _ in range(HISTORY)), reverse=True)


def test_every_entry_is_shown_once_for_any_page_size(ids: list[int]) -> None:
    @given(size=st.integers(1, 100))
    def search(size: int) -> None:
        page = Page(None, size)
        met = page.ids
        while page.next:
            page = Page(page.next, size)
            assert 1 <= len(page.ids) <= size
            met = [*met, *page.ids]
        assert met == ids

    search()


def test_steps_forward_and_back_lead_to_the_expected_page(ids: list[int]) -> None:
    @given(size=st.integers(1, 8), steps=st.lists(st.sampled_from(["next", "previous"]), max_size=12))
    def search(size: int, steps: list[str]) -> None:
        page, position = Page(None, size), 0
        for step in steps:
            cursor = page.next if step == "next" else page.previous
            if cursor is None:
                assert position == 0 if step == "previous" else position + size >= HISTORY
                continue
            page, position = Page(cursor, size), position + (size if step == "next" else -size)
            assert page.ids == ids[position : position + size]

    search()


def test_invalid_cursors_are_refused(ids: list[int]) -> None:
    @given(cursor=JUNK | FORGED, size=st.integers(1, 100))
    def search(cursor: str, size: int) -> None:
        with pytest.raises(ValidationError) as refusal:
            Page(cursor, size)
        assert refusal.value.get_codes() == {"cursor": "invalid"}

    search()
