"""The menu of each role after the login."""

import pytest

from tests.browser.conftest import AtWork

CATALOGUE = ["Products", "Stock movements", "Coupons", "Issued coupons", "Statistics"]
SHOP = ["Orders", "Refunds", "Reservations", "Users", "Ledger", *CATALOGUE]
MENUS = {
    "viewer": SHOP,
    "support": [*SHOP, "Outbox", "Deliveries", "Webhooks", "E-mails"],
    "merchandiser": ["Orders", "Refunds", "Reservations", *CATALOGUE],
    "finance": [*SHOP, "Staff actions"],
    "operator": [
        *SHOP,
        *("Outbox", "Deliveries", "Webhooks", "E-mails", "Dead letters", "Counted events", "Answered requests"),
        *("Checks of the books", "Staff actions"),
    ],
}


@pytest.mark.parametrize("role", MENUS)
def test_a_role_sees_only_its_own_menu_entries(at_work: AtWork, role: str) -> None:
    desk = at_work(role)
    assert desk.menu() == ["Dashboard", *MENUS[role]]
    for path in desk.places():
        desk.open(path)
    desk.screenshot(f"dashboard-of-{role}")
