"""Runs axe-core, installed by `npm` beside this file, in a page, and filters its findings on accessibility."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAM = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
COUNTED = ("critical", "serious")
_RUN = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"]});
    return found.violations.map(rule => ({
        id: rule.id, impact: rule.impact, nodes: rule.nodes.map(node => node.html.slice(0, 160)),
        why: rule.nodes[0].failureSummary.slice(0, 300),
    }));
}"""


class AxeUnavailable(Exception):
    """axe-core is not installed; the message explains what to do."""


def program() -> str:
    """The source code of axe-core. Raises AxeUnavailable."""
    if not PROGRAM.exists():
        raise AxeUnavailable(
            "There is no axe-core here: `npm ci --prefix tests/browser`, which make test-browser does."
        )
    return PROGRAM.read_text()


def findings(page: Page) -> list[str]:
    """The critical and serious findings on the current page: rule, number of nodes, the first node, and the reason."""
    # Evaluated by the driver, because the page's Content-Security-Policy refuses scripts.
    page.evaluate(program())
    return [
        f"{rule['id']} ({rule['impact']}, {len(rule['nodes'])}): {rule['nodes'][0]} {rule['why']}"
        for rule in page.evaluate(_RUN)
        if rule["impact"] in COUNTED
    ]
