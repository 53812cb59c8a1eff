"""`python -m commerce.serve`: the web server, granian with its options, that says that it will end before it does.

Owns the time between the request to end and the end; what the workers say meanwhile is `commerce.http.ending`'s.
"""

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from granian import cli
from granian.server import Server

from commerce import settings


class LettingGo(Server):  # type: ignore[misc,valid-type]  # one of two classes, chosen by the kind of Python
    """Asked to end, it is not ready for `WEB_ENDING_SECONDS` and serves on, then ends; asked again, it ends at once."""

    def signal_handler_interrupt(self, *arguments: Any, **keywords: Any) -> None:
        ending = Path(settings.WEB_ENDING_FILE)
        if not settings.WEB_ENDING_SECONDS or ending.exists():
            super().signal_handler_interrupt()
            return
        ending.touch()
        last = threading.Timer(settings.WEB_ENDING_SECONDS, super().signal_handler_interrupt)
        last.daemon = True
        last.start()


if __name__ == "__main__":
    with TemporaryDirectory(prefix="commerce-web-") as folder:
        # Each server has a file of its own; its workers inherit the name.
        os.environ["WEB_ENDING_FILE"] = settings.WEB_ENDING_FILE = str(Path(folder, "ending"))
        cli.Server = LettingGo  # type: ignore[attr-defined]  # where its command line looks for the server
        cli.entrypoint()  # type: ignore[no-untyped-call]  # the library is untyped here
