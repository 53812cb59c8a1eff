"""F17: thirty simultaneous requests: the same one, different ones for the last unit, and one key for two requests."""

from tests.factories import CouponFactory, ProductFactory
from tests.faults.burst import Ask, acknowledged, burst, cancel, charge, issue, key_of, order
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call
from tests.faults.shop import Variant

AT_ONCE = 30
PRICE_WON = 1_000


class AtOneInstant(Fault):
    """The last byte of every request is held back until all of them can be sent at the same time."""

    gap_seconds = (0.1, 0.3)
    most_shots = 200


class OneKeyThirtyTimes(AtOneInstant):
    """A client retries many times: one effect, one response, and 422 for another body."""

    number = "F17a"
    title = "30 with one key at once"
    protection = "the answer is kept in the transaction of its effect, one per key"
    fewest_shots = 2
    control_shows = ("got another answer than", "different requests with one key were done")

    def control(self) -> Variant:
        return Variant(
            patches=("tests.faults.weakened.answers_written_later", "tests.faults.naive_shop.requests_not_locked")
        )

    def strike(self, run: Run) -> str:
        kinds = ("order", "two bodies", "cancel", "charge", "issue")
        kind = kinds[len(run.shots) % len(kinds)]
        if kind == "two bodies":
            return self._two_bodies(run)
        calls = burst(run, [self._ask(run, kind)] * AT_ONCE)
        first = [call for call in calls if call.status == 200 and not call.replayed]
        if not first:
            raise NotFired(f"no {kind} of {AT_ONCE} was done: {calls[0]}")
        run.wrong += [f"{len(first)} of {AT_ONCE} identical requests were done: {first[0]}"] * (len(first) > 1)
        return f"{AT_ONCE} times one {kind}: {_answers_of(calls)}"

    @staticmethod
    def _two_bodies(run: Run) -> str:
        user_id, key = run.random.choice(run.scene.users), key_of(run)
        calls = burst(run, [charge(user_id, 1_000 + number % 2, key=key) for number in range(AT_ONCE)])
        done = {call.body["amount"] for call in calls if call.status == 200}
        if not done:
            raise NotFired(f"none of {AT_ONCE} charges with one key was done: {calls[0]}")
        if len(done) > 1:
            run.wrong.append(f"{len(done)} different requests with one key were done: {key}")
        run.wrong += [
            f"{call} has another body than the request with its key, and was not told so"
            for call in calls
            if call.body["amount"] not in done
            and (call.status, call.code) not in ((422, "idempotency_key_reused"), (409, "request_in_progress"))
        ][:3]
        return f"{AT_ONCE} times one key, two bodies: {_answers_of(calls)}"

    @staticmethod
    def _ask(run: Run, kind: str) -> Ask:
        user_id, key = run.random.choice(run.scene.users), key_of(run)
        if kind == "charge":
            return charge(user_id, 7, key=key)
        if kind == "issue":
            return issue(user_id, CouponFactory(total_quantity=AT_ONCE).pk, key=key)
        basket = order(user_id, {run.random.choice(run.scene.products): 1}, key=key)
        if kind == "order":
            return basket
        return cancel(user_id, acknowledged(run, basket).json["id"], key=f"{key}-back")


class OnlyOneCanHaveIt(AtOneInstant):
    """Thirty different requests for the last unit, the last coupon, or a balance that is sufficient for one of them."""

    number = "F17b"
    title = "30 for what one can have at once"
    protection = "stock, coupons and money are taken by conditional statements, under locks"
    fewest_shots = 3
    control_shows = ("had the last unit", "had the last coupon", "had the exact balance")

    def control(self) -> Variant:
        steps = ("no_locks", "stock_from_memory", "coupons_from_memory", "money_from_memory")
        return Variant(patches=tuple(f"tests.faults.naive_shop.{step}" for step in steps))

    def strike(self, run: Run) -> str:
        asked = (self._last_unit, self._last_coupon, self._exact_balance)[len(run.shots) % 3]
        what, refusal, asks = asked(run)
        calls = burst(run, asks)
        had = [call for call in calls if call.status == 200]
        if not had:
            raise NotFired(f"nobody had {what}: {_answers_of(calls)}")
        if len(had) > 1:
            run.wrong.append(f"{len(had)} had {what}: {had[0]} and {had[1]}")
        refused = [call for call in calls if call.status is not None and call.status != 200]
        run.wrong += [
            f"{call} was to be told {refusal}" for call in refused if call.code not in (refusal, "lock_timeout")
        ][:3]
        return f"{AT_ONCE} for {what}: {_answers_of(calls)}"

    @staticmethod
    def _last_unit(run: Run) -> tuple[str, str, list[Ask]]:
        product = ProductFactory(stock=1).pk
        users = run.random.sample(run.scene.users, AT_ONCE)
        return "the last unit", "out_of_stock", [order(user, {product: 1}, key=key_of(run)) for user in users]

    @staticmethod
    def _last_coupon(run: Run) -> tuple[str, str, list[Ask]]:
        coupon = CouponFactory(total_quantity=1).pk
        users = run.random.sample(run.scene.users, AT_ONCE)
        return "the last coupon", "coupon_sold_out", [issue(user, coupon, key=key_of(run)) for user in users]

    @staticmethod
    def _exact_balance(run: Run) -> tuple[str, str, list[Ask]]:
        customer = run.scene.newcomer(balance=PRICE_WON)
        products = ProductFactory.create_batch(AT_ONCE, stock=1, price=PRICE_WON)
        asks = [order(customer, {product.pk: 1}, key=key_of(run)) for product in products]
        return "the exact balance", "insufficient_balance", asks


def _answers_of(calls: list[Call]) -> str:
    counts: dict[str, int] = {}
    for call in calls:
        word = "replayed" if call.replayed else call.code or str(call.status or call.trouble)
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
