"""One process's numbers at a port of its own, for processes that answer no requests.

Owns the small server; never adds up several processes, which is what the web server's `/metrics` does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server


class MetricsPortTaken(Exception):
    """The metrics cannot be served where they should."""


@contextmanager
def metrics_served(port: int | None) -> Iterator[str]:
    """Serve this process's metrics on 127.0.0.1 during the block, which is given their address.

    `port`: 0 takes any free one; None serves nothing, and the address is empty. Raises MetricsPortTaken.
    """
    if port is None:
        yield ""
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise MetricsPortTaken(f"Metrics cannot be served on port {port}: {error}") from error
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
