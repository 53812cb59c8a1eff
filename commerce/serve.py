"""`python -m commerce.serve`: the web server, granian with its options, that says that it will end before it does.

Owns the time between the request to end and the end, and when dying workers are the end of the server; what the workers
say meanwhile is `commerce.http.ending`'s.
"""

import os
import threading
import time
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from granian import cli
from granian.server import Server

from commerce import settings

MOST_DEATHS = 20
DEATHS_WITHIN_SECONDS = 60.0
"""More workers that died within this time are a fault that new workers do not mend: a supervisor should see it."""


class LettingGo(Server):  # type: ignore[misc,valid-type]  # one of two classes, chosen by the kind of Python
    """Asked to end, it is not ready for `WEB_ENDING_SECONDS` and serves on, then ends; asked again, it ends at once."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._deaths: deque[float] = deque()

    def signal_handler_interrupt(self, *arguments: Any, **keywords: Any) -> None:
        ending = Path(settings.WEB_ENDING_FILE)
        if not settings.WEB_ENDING_SECONDS or ending.exists():
            super().signal_handler_interrupt()
            return
        ending.touch()
        last = threading.Timer(settings.WEB_ENDING_SECONDS, super().signal_handler_interrupt)
        last.daemon = True
        last.start()

    def _respawn_workers(self, workers: list[int], *arguments: Any, **keywords: Any) -> None:
        """Start workers in place of those that died.

        Granian ends the whole server, and with it the workers that are well, once one of them dies within 5.5 s of its
        start. Here it takes more than that.
        """
        super()._respawn_workers(workers, *arguments, **keywords)
        now = time.monotonic()
        self._deaths.extend(now for _ in workers)
        while self._deaths and self._deaths[0] < now - DEATHS_WITHIN_SECONDS:
            self._deaths.popleft()
        if len(self._deaths) <= MOST_DEATHS:
            # When they started, by which granian judges.
            self.respawned_wrks.clear()


if __name__ == "__main__":
    with TemporaryDirectory(prefix="commerce-web-") as folder:
        # Each server has a file of its own; its workers inherit the name.
        os.environ["WEB_ENDING_FILE"] = settings.WEB_ENDING_FILE = str(Path(folder, "ending"))
        cli.Server = LettingGo  # type: ignore[attr-defined]  # where its command line looks for the server
        cli.entrypoint()  # type: ignore[no-untyped-call]  # the library is untyped here
