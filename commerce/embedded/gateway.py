"""nginx as the gateway in front of web servers on this machine, with the configuration in `deploy/gateway`.

Manages the process and its folder: a copy of those files and a few generated ones for this installation.
"""

import os
import pwd
import re
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGQUIT, SIGTERM

from commerce.embedded.children import PROJECT_ROOT, Account, Child, ChildSpec, Pause
from commerce.embedded.errors import NginxNotInstalled
from commerce.embedded.ports import LOOPBACK

FILES = PROJECT_ROOT / "deploy" / "gateway"
_WILDCARD_HOSTS = ("0.0.0.0", "::")  # noqa: S104 - compared, not used as a default
_ACCESS_LOG = "access_log access.log line buffer=32k flush=1s;"
_START_SECONDS = 20.0
_GRACE_SECONDS = 5.0


class Gateway:
    """One nginx, its configuration and its process."""

    def __init__(
        self,
        directory: Path,
        *,
        logs: Path,
        host: str,
        port: int,
        servers: Sequence[int],
        origins: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            directory: its folder, whose content is replaced at the start.
            servers: the ports of the web servers on this machine.
            origins: origins whose pages may read the gateway's own refusals (CORS).
            files: configuration files with other contents, such as `limits.conf`.

        Raises:
            NginxNotInstalled: nginx was not found.
        """
        program = nginx()
        self._address = (LOOPBACK if host in _WILDCARD_HOSTS else host, port)
        self._directory = directory
        self._account = _account()
        listen_on = f"[{host}]" if ":" in host else host
        self._files = {
            "listen.conf": f"listen {listen_on}:{port} backlog=4096;\n{_ACCESS_LOG}\n",
            "servers.conf": "".join(f"server {LOOPBACK}:{each} max_fails=1 fail_timeout=3s;\n" for each in servers),
            "origins.conf": "".join(f'"{origin}" $http_origin;\n' for origin in origins),
            **(files or {}),
        }
        self.child = Child(
            ChildSpec(
                name="gateway",
                command=[
                    *(program, "-p", str(directory), "-c", str(directory / "conf" / "nginx.conf")),
                    *("-e", "stderr", "-g", "daemon off;"),
                ],
                log_path=logs / "gateway.log",
                account=self._account,
                # SIGQUIT lets running requests finish; SIGTERM would cut them off.
                stop_signal=SIGQUIT,
                # nginx's workers only end with the master if it is stopped gracefully, not if it is killed.
                orphan_signal=SIGTERM,
                grace_seconds=_GRACE_SECONDS,
            )
        )

    def start(self, pause: Pause = time.sleep) -> None:
        """Start nginx and wait until it answers.

        Raises:
            ChildFailed: it did not start.
        """
        self._write()
        self.child.start()
        self.child.wait_until_ready(self.ready, timeout_seconds=_START_SECONDS, pause=pause)

    def restart(self) -> None:
        """Start it again after a crash, with the same configuration."""
        self.child.start()

    def ready(self) -> bool:
        """Whether nginx answers; the web servers are not checked."""
        connection = HTTPConnection(*self._address, timeout=2)
        try:
            connection.request("GET", "/internal/token")
            return connection.getresponse().status == 404
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _write(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        configuration = self._directory / "conf"
        shutil.copytree(FILES, configuration)
        for name, text in self._files.items():
            (configuration / name).write_text(text)
        if self._account is not None:
            os.chown(self._directory, self._account.uid, self._account.gid)
            for folder in self._directory.parents:
                # Adds missing search permissions; the folders remain unreadable.
                mode = folder.stat().st_mode
                if not mode & stat.S_IXOTH:
                    folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def nginx() -> str:
    """The path of the program: NGINX or the installed one. Raises NginxNotInstalled."""
    found = shutil.which(os.environ.get("NGINX") or "nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise NginxNotInstalled
    return found


def without_limits() -> dict[str, str]:
    """`files` for a gateway whose limits are never reached, for load tests."""
    text = (FILES / "limits.conf").read_text()
    for limit, value in (
        (r"rate=\d+r/s", "rate=1000000r/s"),
        (r"burst=\d+ n", "burst=1000000 n"),
        (r"ess \d+;", "ess 60000;"),
    ):
        text, found = re.subn(limit, value, text)
        if not found:
            raise AssertionError(f"deploy/gateway/limits.conf has no {limit}")
    return {"limits.conf": text}


def _account() -> Account | None:
    """The system user of nginx: the current one, or an unprivileged one for root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)
