"""What the person at the terminal reads while the stack starts, runs and stops.

Writes to standard output only, and never fails because nobody reads it any more.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress


def say(text: str, *, end: str = "\n") -> None:
    """Print at once; a reader that has gone away (a closed pipe, a closed terminal) is no reason to stop."""
    with suppress(OSError):
        print(text, end=end, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and when it is done, how long it took."""
    started_at = time.monotonic()
    say(f"  {title} … ", end="")
    try:
        yield
    except BaseException:
        say("")
        raise
    say(f"{time.monotonic() - started_at:.1f} s")


def banner(*, web: str, servers: Sequence[str], sink_events: str, metrics: Mapping[str, str], directory: str) -> str:
    """Where everything is, who may log in, and a first order ready to paste.

    `servers`: the addresses of the web servers, where they are probed: that of a gateway answers no probes.
    """
    probes = "\n                   ".join(f"{server}/readyz  {server}/metrics" for server in servers)
    counted = "".join(f"\n  Metrics of       {name}: {address}" for name, address in metrics.items())
    reported = f"\n  Reported orders  {sink_events}" if sink_events else ""
    return f"""
The shop is open.

  API              {web}/api/products
  API docs         {web}/api/docs
  Back-office      {web}/admin/        (admin / admin; viewer, support, merchandiser, finance, operator / staff)
  Health, metrics  {probes}{counted}{reported}
  Customers        customer1 … customer1000, password: customer
  Addresses, logs  {directory}/run.json  {directory}/logs/

A first order, ready to paste into another terminal:

  TOKEN=$(curl -s {web}/api/auth/token -H 'Content-Type: application/json' \\
    -d '{{"username":"customer1","password":"customer"}}' | sed 's/.*"access":"\\([^"]*\\)".*/\\1/')
  curl -s {web}/api/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -H "Idempotency-Key: first-$(date +%s)" -d '{{"items":[{{"productId":1,"quantity":2}}]}}'

Every manage.py command in another terminal works on this stack. Stop it with Ctrl-C.
"""
