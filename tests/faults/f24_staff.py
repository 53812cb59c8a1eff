"""F24: two staff members do the same thing at the same time, or one of them submits an outdated form."""

from functools import partial

from balances.models import EntryType, LedgerEntry
from balances.services import charge_balance
from commerce.idempotency.commit import Idempotency
from orders.models import Order
from products.models import MovementReason, StockMovement
from tests.factories import ProductFactory, UserFactory, order_of
from tests.faults.browser import Browser, at_once
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

_PRICE_WON = 3_000
_OPENING = 100
_LIST = "/admin/products/product/"
"""The target of the redirect after a product was saved."""


class TwoMembersOfStaff(Fault):
    """Two browsers with separate sessions, under load: no change is lost, none is made twice."""

    number = "F24"
    title = "two staff at one thing, a stale form"
    protection = "additions and conditional statements under locks, and forms saved only over what they showed"
    control_shows = ("an adjustment was lost", "was refunded 2 times", "a stale form overwrote")
    gap_seconds = (0.1, 0.3)
    fewest_shots = 3
    most_shots = 200

    def control(self) -> Variant:
        steps = ("no_locks", "stock_from_memory", "cancels_that_look_first", "forms_saved_over_anything")
        return Variant(patches=tuple(f"tests.faults.naive_shop.{step}" for step in steps))

    def strike(self, run: Run) -> str:
        staff = Browser(run.shop.port), Browser(run.shop.port)
        return (_adjust, _cancel, _save_stale)[len(run.shots) % 3](run, *staff)


def _adjust(run: Run, one: Browser, other: Browser) -> str:
    """Both corrections of a stock must be applied."""
    product = ProductFactory(stock=_OPENING)
    path = f"{_LIST}{product.pk}/adjust-stock/"
    deltas = (run.random.randint(1, 50), -run.random.randint(1, 50))
    opened = (one.get(path), other.get(path))
    answers = at_once(
        [
            partial(each.post, path, page, delta=str(delta), reason="Counted.")
            for each, page, delta in zip((one, other), opened, deltas, strict=True)
        ]
    )
    if [answer.status for answer in answers] != [302, 302]:
        raise NotFired(f"the adjustments were answered {[answer.status for answer in answers]}")
    product.refresh_from_db()
    if product.stock != _OPENING + sum(deltas):
        run.wrong.append(f"an adjustment was lost: product {product.pk}, {_OPENING}, {deltas}, {product.stock}")
    return f"stock of product {product.pk} adjusted at once by {deltas}"


def _cancel(run: Run, one: Browser, other: Browser) -> str:
    """One of them cancels the order, the other one gets a refusal."""
    # A customer who is not in the history: no client requests this cancellation.
    customer = UserFactory()
    charge_balance(user_id=customer.pk, amount=2 * _PRICE_WON, idempotency=Idempotency.none())
    order = order_of(customer, {ProductFactory(stock=_OPENING, price=_PRICE_WON): 2})
    page = f"/admin/orders/order/{order.pk}/cancel/"
    opened = (one.get(page), other.get(page))
    answers = at_once(
        [
            partial(each.post, page, question, reason="Both at once.")
            for each, question in zip((one, other), opened, strict=True)
        ]
    )
    if Order.objects.get(pk=order.pk).status != "CANCELLED":
        raise NotFired(f"order {order.pk} was not cancelled: {[answer.status for answer in answers]}")
    if any(answer.status >= 500 for answer in answers):
        run.wrong.append(f"order {order.pk}: staff were answered {[answer.status for answer in answers]}")
    refunds = LedgerEntry.objects.filter(order_id=order.pk, type=EntryType.REFUND).count()
    returns = StockMovement.objects.filter(order_id=order.pk, reason=MovementReason.RETURN).count()
    if (refunds, returns) != (1, 1):
        run.wrong.append(f"order {order.pk} was refunded {refunds} times and its units returned {returns} times")
    return f"order {order.pk} cancelled at once by two"


def _save_stale(run: Run, early: Browser, late: Browser) -> str:
    """A form opened before a colleague saved is refused; of two forms submitted at the same time, one is saved."""
    product = ProductFactory(name="Pen", price=_PRICE_WON, stock=_OPENING)
    path = f"{_LIST}{product.pk}/change/"
    stale = early.get(path)
    new_price = _PRICE_WON + run.random.randint(1, 1_000)
    saved = late.post(path, late.get(path), price=str(new_price))
    if saved.location != _LIST:
        raise NotFired(f"the colleague's price was not saved: {saved.status}")
    answer = early.post(path, stale, name="Pencil")
    product.refresh_from_db()
    if (product.name, product.price) != ("Pen", new_price):
        run.wrong.append(f"a stale form overwrote {new_price} won of product {product.pk} with {product.price}")
    elif answer.status != 200:
        run.wrong.append(f"a stale form was answered {answer.status}, and nothing was saved")
    opened = (early.get(path), late.get(path))
    answers = at_once(
        [
            partial(each.post, path, page, price=str(new_price + more))
            for more, (each, page) in enumerate(zip((early, late), opened, strict=True), start=1)
        ]
    )
    if sum(each.location == _LIST for each in answers) != 1:
        where = [(each.status, each.location) for each in answers]
        run.wrong.append(f"of two forms of product {product.pk} at one moment not one was saved: {where}")
    return f"product {product.pk} sent from a stale form"
