"""Certificates for a test, made by `openssl`: an authority, certificates signed by it, and an untrusted authority."""

import shutil
import subprocess
from pathlib import Path

import pytest

from commerce.embedded.ports import LOOPBACK

_DAYS = "2"
AUTHORITY, STRANGER = "authority.pem", "stranger.pem"


class Certificates:
    """An authority (`authority.pem`) and another one (`stranger.pem`) that has signed nothing."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("NO TLS WAS TESTED: `openssl` is not installed (Debian's package openssl).")
        self.folder = folder
        for name in ("authority", "stranger"):
            self._openssl(
                *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS, "-subj", f"/CN={name}"),
                *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
            )

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def issue(self, name: str, *, key_password: str = "", dns: str = "") -> None:
        """`name.key` and `name.pem`, signed by the authority, for the loopback address, or for the name `dns`."""
        encryption = ["-passout", f"pass:{key_password}"] if key_password else ["-nodes"]
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-subj", f"/CN={name}", *encryption),
            *(
                "-addext",
                f"subjectAltName={f'DNS:{dns}' if dns else f'IP:{LOOPBACK}'}",
                "-keyout",
                f"{name}.key",
                "-out",
                f"{name}.request",
            ),
        )
        self._openssl(
            *("x509", "-req", "-in", f"{name}.request", "-days", _DAYS, "-copy_extensions", "copy"),
            *("-CA", AUTHORITY, "-CAkey", "authority.key", "-CAcreateserial", "-out", f"{name}.pem"),
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, check=True, timeout=60)  # noqa: S603, S607 - our own command
