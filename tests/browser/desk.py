"""A browser window of a member of staff, with its console messages and failed requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from commerce.embedded.children import PROJECT_ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SCREENSHOTS = PROJECT_ROOT / ".local" / "screenshots"
"""Ignored by git; those of the documentation are copied to docs/images manually."""


class Desk:
    """One window, with its own cookies."""

    def __init__(
        self,
        browser: Browser,
        web: str,
        *,
        size: dict[str, int] | None = None,
        dark: bool = False,
        language: str = "en",
    ) -> None:
        self.web = web
        self.window = browser.new_context(
            viewport=size or DESKTOP,  # type: ignore[arg-type]  # a typed dictionary there
            color_scheme="dark" if dark else "light",
            locale="ko-KR" if language == "ko" else "en-US",
            timezone_id="Asia/Seoul",
        )
        self.page: Page = self.window.new_page()
        self.page.set_default_timeout(30_000)
        self.wrong: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        self.page.on("response", self._answered)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console {message.type} on {self.page.url}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} for {response.url}")

    def log_in(self, username: str, password: str) -> None:
        """Log in with the form; the dashboard is open afterwards."""
        self.open("/admin/login/")
        self.page.get_by_label("Username", exact=False).or_(self.page.locator("#id_username")).first.fill(username)
        self.page.locator("#id_password").fill(password)
        self.page.locator("#login-form button[type=submit]").click()
        self.page.wait_for_url(f"{self.web}/admin/")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.web}{path}", wait_until="load")

    def search(self, text: str) -> Locator:
        """Press Ctrl-K and type; returns the field."""
        self.page.locator("body").press("Control+k")
        field = self.page.locator("#search-input-command")
        # The field is shown and focused by timers; earlier input is lost.
        expect(field).to_be_focused()
        field.press_sequentially(text)
        return field

    def shows(self) -> str:
        """The URL and the text of the page, and the value of its search field."""
        typed = self.page.locator("#search-input-command").evaluate_all("fields => fields.map(field => field.value)")
        return f"{self.page.url}, search {typed}:\n{self.text()}"

    def menu(self) -> list[str]:
        """The titles of the menu's entries, in order."""
        items = self.page.locator("#nav-sidebar-apps a span:not(.material-symbols-outlined)")
        return [text.strip() for text in items.all_inner_texts() if text.strip()]

    def places(self) -> list[str]:
        """The paths of the menu's links."""
        links = self.page.locator("#nav-sidebar a[href^='/admin/']")
        return list(dict.fromkeys(links.evaluate_all("links => links.map(link => link.getAttribute('href'))")))

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def screenshot(self, name: str) -> Path:
        """Save a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path

    def close(self) -> None:
        self.window.close()
