"""The lines of the rush: a thousand simultaneous buyers, for one hundred units of a coupon or for a mix of requests."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.bench import Bench
from benchmarks.books import BUSY, number
from benchmarks.cpu import microseconds_each
from benchmarks.crowd import Reply, Request, all_at_once
from benchmarks.errors import WrongAnswer
from benchmarks.figures import percentile
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample
from benchmarks.tokens import TokenMint

BUYERS = 1_000
UNITS = 100
_DELIVERY_SECONDS = 60.0
_HELD = "SELECT count(*) FROM user_coupon WHERE coupon_id = %(coupon)s"
_COUNTED = "SELECT issued_count FROM coupon WHERE id = %(coupon)s"
_WRITTEN = {
    "order": 'SELECT count(*) FROM "order" WHERE id > %(order)s',
    "charge": "SELECT count(*) FROM user_balance_tx WHERE id > %(user_balance_tx)s AND type = 'CHARGE'",
}
# The request of each of ten buyers.
_MIX = ("issue", "order", "issue", "charge", "order", "read", "issue", "order", "charge", "issue")


def coupon_requests(bench: Bench, coupon: int) -> list[Request]:
    mint = TokenMint(bench.servers.signing_key)
    key = bench.new_key()
    return [_issue(mint.token(buyer), coupon, f"{key}-{buyer}") for buyer in range(1, BUYERS + 1)]


def mixed_requests(bench: Bench, coupon: int) -> list[Request]:
    mint = TokenMint(bench.servers.signing_key)
    key = bench.new_key()
    return [
        _something(
            bench, coupon, kind=_MIX[buyer % len(_MIX)], buyer=buyer, token=mint.token(buyer), key=f"{key}-{buyer}"
        )
        for buyer in range(1, BUYERS + 1)
    ]


def rush(bench: Bench, *, key: str, ask: Callable[[Bench, int], list[Request]], cold: bool) -> Sample:
    """All buyers at the same time; the value is the 99th percentile of the wait in ms. Raises WrongAnswer."""
    coupon = bench.new_hot_coupon(units=UNITS)
    requests = ask(bench, coupon)
    if cold:
        bench.shop.restart_web()
    marks = bench.books.marks()
    before = bench.cpu_of_shop()
    replies = all_at_once(bench.shop.web.port, requests)
    bench.books.wait_until_answered()
    bench.books.wait_until_delivered(marks, seconds=_DELIVERY_SECONDS)
    used = bench.cpu_of_shop().since(before)
    _verify(bench, key, replies, coupon, marks)
    waits = [reply.milliseconds for reply in replies]
    return Sample(
        value=percentile(waits, 99),
        p50_ms=percentile(waits, 50),
        p95_ms=percentile(waits, 95),
        p99_ms=percentile(waits, 99),
        requests=len(replies),
        errors=sum(reply.status == BUSY for reply in replies),
        cpu_us=microseconds_each(used, len(replies)),
        notes={"slowest_ms": round(max(waits), 1), "answers": _counts(replies)},
    )


def _issue(token: str, coupon: int, key: str) -> Request:
    return Request(kind="issue", method="POST", path=f"/api/coupons/{coupon}/issue", token=token, key=key)


def _something(bench: Bench, coupon: int, *, kind: str, buyer: int, token: str, key: str) -> Request:
    if kind == "issue":
        return _issue(token, coupon, key)
    if kind == "read":
        return Request(kind=kind, method="GET", path="/api/products", token=token)
    first = buyer % (bench.sizes.products - 1) + 1
    bodies = {
        "charge": ("/api/balance/charge", '{"amount":1000}'),
        "order": (
            "/api/orders",
            f'{{"items":[{{"productId":{first},"quantity":1}},{{"productId":{first + 1},"quantity":1}}]}}',
        ),
    }
    path, body = bodies[kind]
    return Request(kind=kind, method="POST", path=path, token=token, key=key, body=body.encode())


def _verify(bench: Bench, key: str, replies: Sequence[Reply], coupon: int, marks: dict[str, int]) -> None:
    answers = Counter((reply.kind, reply.status) for reply in replies)
    allowed = {("issue", 200), ("issue", 400), ("order", 200), ("charge", 200), ("read", 200)}
    if any(answer not in allowed and answer[1] != BUSY for answer in answers):
        raise WrongAnswer(key, f"unexpected answers (0 is none): {_counts(replies)}")
    refused = [reply for reply in replies if reply.status == 400 and b'"coupon_sold_out"' not in reply.body]
    if refused:
        raise WrongAnswer(key, f"{len(refused)} refusals are not coupon_sold_out: {refused[0].body.decode()}")
    issued = answers["issue", 200]
    held, counted = (number(bench.connection, statement, {"coupon": coupon}) for statement in (_HELD, _COUNTED))
    # If many requests were refused because of overload, not all units may be issued.
    all_gone = issued == UNITS or (not answers["issue", 400] and answers["issue", BUSY] > 0)
    if not all_gone or (held, counted) != (issued, issued):
        raise WrongAnswer(key, f"{issued} of {UNITS} units answered, {held} held, {counted} counted as issued")
    for kind, statement in _WRITTEN.items():
        written = number(bench.connection, statement, marks)
        if written != answers[kind, 200]:
            raise WrongAnswer(key, f"{answers[kind, 200]} of {kind} were answered 200, {written} are written")


def _counts(replies: Sequence[Reply]) -> dict[str, int]:
    return dict(Counter(f"{reply.kind} {reply.status}" for reply in replies).most_common())


def lines() -> Sequence[Line]:
    return [
        Line(
            key=f"rush:{name}-{state}",
            title=f"1,000 buyers at one instant, {title}, {state}: p99",
            unit="ms",
            ours=partial(rush, key=f"rush:{name}-{state}", ask=ask, cold=state == "cold"),
            goal=Goal(value_at_most=3_000 if state == "cold" else 1_500),
        )
        for name, title, ask in (
            ("coupon", "100 coupons", coupon_requests),
            ("mixed", "mixed", mixed_requests),
        )
        for state in ("cold", "warm")
    ]
