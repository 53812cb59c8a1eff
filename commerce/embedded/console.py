"""The terminal output of the stack while it starts, runs and stops.

Only writes to standard output, and ignores errors if the reader is gone.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress


def say(text: str, *, end: str = "\n") -> None:
    """Print and flush. A closed pipe or terminal is not an error."""
    with suppress(OSError):
        print(text, end=end, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title of a step, and its duration at the end."""
    started_at = time.monotonic()
    say(f"  {title} … ", end="")
    try:
        yield
    except BaseException:
        say("")
        raise
    say(f"{time.monotonic() - started_at:.1f} s")


def banner(*, web: str, servers: Sequence[str], sink_events: str, metrics: Mapping[str, str], directory: str) -> str:
    """The addresses, the demo logins, and a command that places a first order.

    `servers`: the addresses of the web servers, for probes; a gateway does not answer probes.
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
