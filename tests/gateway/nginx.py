"""nginx for the tests of the gateway; `python -m tests.gateway.nginx` installs Debian's.

Its configuration is `deploy/gateway`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from commerce.embedded.errors import NginxNotInstalled
from commerce.embedded.gateway import Gateway, nginx
from commerce.embedded.ports import LOOPBACK, free_port


def install() -> str:
    """The path of the program, installed from Debian's packages if needed. Raises NginxNotInstalled."""
    try:
        return nginx()
    except NginxNotInstalled:
        apt = shutil.which("apt-get")
        if apt is None or os.geteuid() != 0:
            raise
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "nginx-light"]):
        subprocess.run([apt, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    # Debian starts it with its default page; the tests start it themselves.
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--quiet", "--now", "nginx"], check=False)  # noqa: S607 - fixed
    else:
        subprocess.run(["service", "nginx", "stop"], check=False, stdout=subprocess.DEVNULL)  # noqa: S607 - fixed
    return nginx()


@dataclass(frozen=True)
class Address:
    """The address of a gateway, and the folder of its files."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


@contextmanager
def gateway_before(
    *ports: int, files: Mapping[str, str] | None = None, origins: Sequence[str] = ()
) -> Iterator[Address]:
    """A gateway in front of the servers at these ports; `files` replace files of its configuration."""
    port = free_port()
    directory = Path(os.environ["LOCAL_DIR"])
    gateway = Gateway(
        directory / f"gateway-{port}",
        logs=directory,
        host=LOOPBACK,
        port=port,
        servers=ports,
        origins=origins,
        files=files,
    )
    try:
        gateway.start()
        yield Address(port, directory / f"gateway-{port}")
    finally:
        gateway.child.stop()


if __name__ == "__main__":
    try:
        print(install())
    except (NginxNotInstalled, subprocess.CalledProcessError) as failure:
        sys.exit(str(failure))
