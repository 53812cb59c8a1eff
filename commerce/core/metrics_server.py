"""An HTTP server for the metrics of one process that is not a web server.

It does not aggregate several processes; `/metrics` of the web server does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from commerce.core import metrics


class MetricsPortTaken(Exception):
    """The metrics cannot be served on the configured address and port."""


@contextmanager
def metrics_served(port: int | None, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the metrics of this process during the block; yields their URL.

    `port`: 0 for any free port; None to serve nothing, and the URL is empty. `host`: the address to listen on. Raises
    MetricsPortTaken.
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
