"""One process's numbers at a port of its own, for processes that answer no requests.

Owns the small server; never adds up several processes, which is what the web server's `/metrics` does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from commerce.core import metrics


class MetricsPortTaken(Exception):
    """The metrics cannot be served where they should."""


@contextmanager
def metrics_served(port: int | None, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve this process's metrics during the block, which is given their address.

    `port`: 0 takes any free one; None serves nothing, and the address is empty. `host`: on which address of this
    machine. Raises MetricsPortTaken.
    """
    if port is None:
        yield ""
        return
    try:
        server, thread = start_http_server(port, addr=host)
    except OSError as error:
        raise MetricsPortTaken(f"Metrics cannot be served on port {port}: {error}") from error
    metrics.keep_adding()
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
