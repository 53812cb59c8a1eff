"""Command lines of the shop's own processes."""

import sys

from commerce.embedded.children import PROJECT_ROOT


def web_command(*, host: str, port: int, workers: int, application: str = "commerce.asgi:application") -> list[str]:
    """The web server's command line, the same as in deploy/Dockerfile."""
    return [
        *(sys.executable, "-m", "commerce.serve"),
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        application,
    ]


def manage(*arguments: str) -> list[str]:
    """A manage.py command line."""
    return [sys.executable, str(PROJECT_ROOT / "manage.py"), *arguments]
