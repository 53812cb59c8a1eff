"""The measured gateway: nginx with the configuration of a deployment, in front of one web server.

Its limits are higher than any load, but are still counted.
"""

import os
import shutil
import subprocess

from benchmarks.errors import ProgramMissing
from benchmarks.servers import Servers
from benchmarks.shop import Answer, call
from commerce.embedded.errors import NginxNotInstalled
from commerce.embedded.gateway import Gateway, nginx, without_limits
from commerce.embedded.ports import LOOPBACK, free_port


def program() -> str:
    """The path of nginx, which is installed from Debian's packages if possible. Raises ProgramMissing."""
    try:
        return nginx()
    except NginxNotInstalled as missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise ProgramMissing("nginx", str(missing)) from missing
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "nginx-light"]):
        subprocess.run(["apt-get", *arguments], check=False, capture_output=True)  # noqa: S603, S607 - fixed
    try:
        return nginx()
    except NginxNotInstalled as missing:
        raise ProgramMissing("nginx", str(missing)) from missing


class GatewayBefore:
    """The gateway in front of the web server at a port of this machine."""

    def __init__(self, servers: Servers, web_port: int) -> None:
        self.port = free_port()
        self._gateway = Gateway(
            servers.folder / "gateway",
            logs=servers.logs,
            host=LOOPBACK,
            port=self.port,
            servers=[web_port],
            files=without_limits(),
        )

    @property
    def pids(self) -> list[int]:
        pid = self._gateway.child.pid
        return [] if pid is None else [pid]

    def start(self) -> None:
        """Start it and wait until it answers. Raises ChildFailed."""
        self._gateway.start()

    def stop(self) -> None:
        self._gateway.child.stop()

    def call(self, path: str, *, token: str = "") -> Answer:
        """GET of a path."""
        return call(self.port, "GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
