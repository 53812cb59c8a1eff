"""The name of this process in logs, database sessions and traces."""

import re
import sys
from pathlib import Path

_UNSUITABLE = re.compile(r"[^a-z0-9_-]")
_LONGEST = 40


def process_name() -> str:
    """`web` for a web server, the command's name for `manage.py`, otherwise `shop`."""
    program = Path(sys.argv[0] if sys.argv else "").parts[-2:]
    if program == ("commerce", "serve.py"):
        return "web"
    if program[-1:] == ("manage.py",) and len(sys.argv) > 1:
        return _UNSUITABLE.sub("", sys.argv[1].lower())[:_LONGEST] or "shop"
    return "shop"
