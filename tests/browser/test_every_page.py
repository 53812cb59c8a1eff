"""Every page of the menu, on desktop and phone, light and dark, in English and Korean.

Screenshots are saved in .local/screenshots.
"""

import re

import pytest

from tests.browser.conftest import AtWork
from tests.browser.desk import DESKTOP, PHONE, Desk

WINDOWS = {
    "desktop-light-en": {"size": DESKTOP, "dark": False, "language": "en"},
    "desktop-dark-ko": {"size": DESKTOP, "dark": True, "language": "ko"},
    "phone-light-ko": {"size": PHONE, "dark": False, "language": "ko"},
    "phone-dark-en": {"size": PHONE, "dark": True, "language": "en"},
}
HANGUL = re.compile("[가-힣]")


def first_row(desk: Desk) -> str | None:
    """The path of the first row's page; None if the list has none."""
    link = desk.page.locator("#result_list tbody th a, #result_list tbody td a[href$='/change/']").first
    return link.get_attribute("href") if link.count() else None


def is_wider_than_the_window(desk: Desk) -> bool:
    return bool(desk.page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.usefixtures("bought")
def test_every_page_opens_without_errors(at_work: AtWork, window: str) -> None:
    desk = at_work("admin", **WINDOWS[window])
    found = desk.places()
    assert len(found) >= 15
    for path in found:
        desk.open(path)
        name = path.strip("/").replace("/", "-")
        look_at(desk, f"{name}-{window}", language=WINDOWS[window]["language"])
        row = first_row(desk)
        if row is not None:
            desk.open(row)
            look_at(desk, f"{name}-one-{window}", language=WINDOWS[window]["language"])


def look_at(desk: Desk, name: str, *, language: object) -> None:
    desk.screenshot(name)
    assert not is_wider_than_the_window(desk), f"{desk.page.url} must be moved sideways"
    heading = desk.page.title()
    if language == "ko":
        assert HANGUL.search(heading), heading
