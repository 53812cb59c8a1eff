"""A WSGI function without Django, to measure the cost of the load generator itself."""

from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Two bytes for every request."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return (b"{}",)
