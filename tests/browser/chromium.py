"""Finds and starts Debian's Chromium; `python -m tests.browser.chromium` installs it if it is missing."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without GPU and sandbox, as in a container.
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


class ChromiumUnavailable(Exception):
    """Chromium is missing and cannot be installed; the message explains what to do."""


def chromium() -> str:
    """The path of the program: CHROMIUM or the installed one. Raises ChromiumUnavailable."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise ChromiumUnavailable("There is no Chromium here: `apt-get install chromium`, or set CHROMIUM to its path.")
    return found


def install() -> str:
    """The path of the program, installed from Debian's packages if needed. Raises ChromiumUnavailable."""
    try:
        return chromium()
    except ChromiumUnavailable:
        apt = shutil.which("apt-get")
        if apt is None or os.geteuid() != 0:
            raise
    # Also fonts: without them Korean characters are shown as boxes.
    for arguments in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-nanum"],
    ):
        subprocess.run([apt, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    return chromium()


if __name__ == "__main__":
    try:
        print(install())
    except (ChromiumUnavailable, subprocess.CalledProcessError) as failure:
        sys.exit(str(failure))
