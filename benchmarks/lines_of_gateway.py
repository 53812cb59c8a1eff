"""The lines of the gateway: responses that it serves itself, and the cost of forwarding.

Each is compared with the same load on the shop's web server without the gateway.
"""

import json
from collections.abc import Sequence
from functools import partial

from benchmarks import wrk
from benchmarks.bench import Bench, require_all, sample
from benchmarks.errors import WrongAnswer
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample
from benchmarks.tokens import TokenMint

FAMILY = "gateway"
_CONNECTIONS = 16
_LIST = "/api/products"
_CUSTOMER = 1
_FEW_CUSTOMERS = 500
"""So few that each one's token is used several times while the gateway caches its verification."""


def right_list(bench: Bench) -> bool:
    """Whether the gateway serves the shop's page; its links contain the port of the request."""
    here, there = bench.gateway.call(_LIST), bench.shop.web.call("GET", _LIST)
    ports = (str(bench.gateway.port).encode(), str(bench.shop.web.port).encode())
    return here.status == 200 and here.body.replace(*ports) == there.body


def right_refusal(bench: Bench) -> bool:
    token = TokenMint(bench.servers.signing_key).token(_CUSTOMER)
    answer = bench.gateway.call(f"/api/balance/{_CUSTOMER}", token=f"{token}x")
    return answer.status == 401 and json.loads(answer.body)["code"] == "token_not_valid"


def right_balance(bench: Bench) -> bool:
    token = TokenMint(bench.servers.signing_key).token(_CUSTOMER)
    answer = bench.gateway.call(f"/api/balance/{_CUSTOMER}", token=token)
    [(balance,)] = bench.connection.execute('SELECT balance FROM "user" WHERE id = %s', [_CUSTOMER]).fetchall()
    return answer.status == 200 and json.loads(answer.body) == {"userId": _CUSTOMER, "balance": balance}


_IS_RIGHT = {
    "products": right_list,
    "rejected": right_refusal,
    "balance": right_balance,
    "balance-again": right_balance,
}


def measured(bench: Bench, port: int, *, name: str, script: str, status: int) -> Sample:
    """The load on the gateway or, without it, on the shop's web server; all responses have this status."""
    load = bench.load(port, script, _CONNECTIONS, {"BENCH_PATH": _LIST} if script == "get" else {})
    if name == "balance-again":
        load = load.by(customers=_FEW_CUSTOMERS)
    before = bench.cpu_of_shop()
    report = wrk.run(load)
    used = bench.cpu_of_shop().since(before)
    require_all(f"{FAMILY}:{name}", report, status)
    return sample(report, used, report.requests, right=report.with_status(status))


def through_gateway(bench: Bench, *, name: str, script: str, status: int) -> Sample:
    """Raises WrongAnswer if the response is not the shop's."""
    if not _IS_RIGHT[name](bench):
        raise WrongAnswer(f"{FAMILY}:{name}", "the gateway's answer is not the shop's")
    return measured(bench, bench.gateway.port, name=name, script=script, status=status)


def without_gateway(bench: Bench, *, name: str, script: str, status: int) -> Sample:
    return measured(bench, bench.shop.web.port, name=name, script=script, status=status)


def lines() -> Sequence[Line]:
    return [
        Line(
            key=f"{FAMILY}:{name}",
            title=f"{title}, {_CONNECTIONS}",
            ours=partial(through_gateway, name=name, script=script, status=status),
            limit=partial(without_gateway, name=name, script=script, status=status),
            limit_title="the shop without the gateway",
            goal=Goal(ratio_at_least=goal),
            writes=False,
        )
        for name, title, script, status, goal in (
            ("products", "gateway: cached product list", "get", 200, 2),
            ("rejected", "gateway: rejected token", "rejected", 401, 1),
            ("balance", "gateway: balance", "balance", 200, 0.6),
            ("balance-again", "gateway: balance, few customers", "balance", 200, 0.6),
        )
    ]
