"""The files of the archive: compressed JSON lines, written atomically."""

import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_OF_THE_HASH = 12
"""Digits of the hash in the file name, so that two runs or shops with the same folder never overwrite each other."""


@dataclass(frozen=True)
class PageFile:
    """A file that has been written."""

    name: str
    sha256: bytes
    """The hash of the compressed file, as `sha256sum` prints it."""


class FolderNotUsable(Exception):
    """ARCHIVE_DIR is not a folder in which files can be written."""


class FileDamaged(Exception):
    """A file of the archive is missing or changed."""


def write_page(folder: Path, *, table: str, number: int, lines: Sequence[str]) -> PageFile:
    """Write the lines to a file of the folder and fsync it. Raises FolderNotUsable."""
    # Without a time in the gzip header, so that the same lines give the same file.
    content = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
    digest = hashlib.sha256(content)
    name = f"{table}-{number:08d}-{digest.hexdigest()[:_OF_THE_HASH]}.jsonl.gz"
    unfinished = folder / f"{name}.unfinished"
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / name)
        _sync_folder(folder)
    except OSError as error:
        raise FolderNotUsable(f"{folder}: {error.strerror}") from error
    return PageFile(name, digest.digest())


def read_page(folder: Path, page: PageFile) -> Iterator[str]:
    """The lines of a file, after checking its hash. Raises FileDamaged."""
    try:
        content = (folder / page.name).read_bytes()
    except OSError as error:
        raise FileDamaged(f"{page.name}: {error.strerror}") from error
    if hashlib.sha256(content).digest() != page.sha256:
        raise FileDamaged(f"{page.name}: its SHA-256 is another")
    yield from gzip.decompress(content).decode().splitlines()


def _sync_folder(folder: Path) -> None:
    # The folder holds the file's name, so it must be fsynced as well.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
