"""A WSGI function without Django: what the load generator costs by itself is measured on it."""

from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Two bytes, whatever was asked."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return (b"{}",)
