"""The code blocks of the documents, and a shop to run them on.

A document's blocks of one language form one program, as if they were pasted one after the other.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

BASE_DIR = Path(settings.BASE_DIR)
SHOP = "http://127.0.0.1:8000"
"""The address of the shop in the documents."""


def documents() -> list[Path]:
    """All documents with code blocks."""
    folders = (BASE_DIR, BASE_DIR / "docs", BASE_DIR / "clients" / "python")
    return sorted(path for folder in folders for path in folder.glob("*.md"))


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a document in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (BASE_DIR / document).read_text(), re.DOTALL | re.MULTILINE)


def paste(program: str, *, into: str, shop: str, folder: Path, variables: Mapping[str, str] | None = None) -> list[str]:
    """Run a program of a document on the shop at this address, and return the lines that it prints.

    Fails where the program does.
    """
    command = {"sh": ["/bin/sh", "-e"], "python": [sys.executable, "-"]}[into]
    done = subprocess.run(  # noqa: S603  # our own documents
        command,
        input=program.replace(SHOP, shop),
        env={**os.environ, **(variables or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
