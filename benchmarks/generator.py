"""The cost of the load generator itself: wrk against a function that does nothing.

The values are in the results file and above the table.
"""

from dataclasses import replace

from benchmarks import wrk
from benchmarks.bench import BARE_THREADS, Bench, require_all
from benchmarks.shop import WebServer

_SECONDS = 1.0
_CUSTOMERS = 1_000


def cost(bench: Bench) -> dict[str, dict[str, float]]:
    """The maximum of requests per second, and microseconds of processor time per request, for a read and a write."""
    server = WebServer(
        bench.servers, "raw", application="benchmarks.bare.raw:application", ready_path="/", threads=BARE_THREADS
    )
    server.start()
    try:
        return {name: _cost(bench, server, script) for name, script in (("read", "get"), ("write", "charge"))}
    finally:
        server.stop()


def _cost(bench: Bench, server: WebServer, script: str) -> dict[str, float]:
    load = bench.load(server.port, script, 16, {"BENCH_PATH": "/"})
    # Few tokens, because reading the tokens of all customers is not part of the cost of a request.
    report = wrk.run(replace(load, seconds=_SECONDS, customers=_CUSTOMERS))
    require_all("load generator", report, 200)
    used_us = report.cpu_seconds * 1e6 / report.requests
    return {"per_second": round(report.rate), "cpu_us": round(used_us, 1)}
