"""`python -m commerce.serve`: the web server, uvicorn with worker processes and a graceful shutdown.

On the first signal it continues to serve for `WEB_ENDING_SECONDS`. During that time its responses close their
connections, and `/readyz` reports that it is not ready (`commerce.server.ending`). Then it completes the running
requests and stops. A second signal skips the waiting time.
"""

import argparse
import logging.config
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from commerce import settings
from commerce.server.connections import Connection

BACKLOG = 2_048
"""Connections that wait to be accepted: enough for a thousand simultaneous clients."""
MOST_DEATHS = 20
DEATHS_WITHIN_SECONDS = 60.0
"""If more workers die within this time, the server stops, so that a supervisor notices the fault."""
_IDLE_SECONDS = 75
"""Timeout of idle connections, longer than that of a proxy in front (60 s in nginx)."""
_FINISH_SECONDS = 10
_HUNG_SECONDS = 10
"""A worker in which no thread runs for this long is replaced."""


class Workers(Multiprocess):
    """The worker processes. A worker that dies is replaced."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.has_failed = False
        self._deaths: deque[float] = deque()

    def handle_int(self) -> None:
        self._end()

    def handle_term(self) -> None:
        self._end()

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        super().keep_subprocess_alive()
        now = time.monotonic()
        self._deaths.extend(now for old, new in zip(before, self.processes, strict=True) if old is not new)
        while self._deaths and self._deaths[0] < now - DEATHS_WITHIN_SECONDS:
            self._deaths.popleft()
        # uvicorn itself stops the server if a worker cannot start.
        self.has_failed = len(self._deaths) > MOST_DEATHS or any(old.exitcode == STARTUP_FAILURE for old in before)
        if self.has_failed:
            self.should_exit.set()

    def _end(self) -> None:
        ending = Path(settings.WEB_ENDING_FILE)
        if not settings.WEB_ENDING_SECONDS or ending.exists():
            self.should_exit.set()
            return
        ending.touch()
        last = threading.Timer(settings.WEB_ENDING_SECONDS, self.should_exit.set)
        last.daemon = True
        last.start()


def serve(application: str, *, host: str, port: int, workers: int) -> int:
    """Serve until asked to stop, and return the exit code."""
    config = Config(
        application,
        host=host,
        port=port,
        workers=workers,
        backlog=BACKLOG,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
        timeout_worker_healthcheck=_HUNG_SECONDS,
    )
    server = Workers(config, [config.bind_socket()])
    server.run()
    return int(server.has_failed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m commerce.serve", description="Serve the shop over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("application", nargs="?", default="commerce.asgi:application")
    chosen = parser.parse_args()
    logging.config.dictConfig(settings.LOGGING)
    with TemporaryDirectory(prefix="commerce-web-") as folder:
        # Each server has its own file, whose name the workers inherit.
        os.environ["WEB_ENDING_FILE"] = settings.WEB_ENDING_FILE = str(Path(folder, "ending"))
        return serve(chosen.application, host=chosen.host, port=chosen.port, workers=chosen.workers)


if __name__ == "__main__":
    sys.exit(main())
