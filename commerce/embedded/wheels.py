"""Finds server programs that are part of installed Python packages, without importing the packages."""

from importlib.util import find_spec
from pathlib import Path

from commerce.embedded.errors import ServerNotInstalled


def program_directory(package: str, inside: str, *, program: str, variable: str) -> Path:
    """The folder in an installed package that contains a server's programs.

    Raises:
        ServerNotInstalled: the package, or this program in it, is missing.
    """
    found = find_spec(package)
    for location in (found.submodule_search_locations or ()) if found else ():
        directory = Path(location) / inside
        if (directory / program).exists():
            return directory
    raise ServerNotInstalled(program, variable)
