"""A time limit for a whole call over sockets.

Socket timeouts restart with every byte, so a peer that sends very slowly could hold its caller forever. At the deadline
the sockets of the call are shut down from another thread. Name resolution cannot be interrupted.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SocketDeadline:
    """Shuts the sockets of one call down at its deadline."""

    def __init__(self, seconds: float) -> None:
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.is_over = False
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, used: socket.socket) -> None:
        """Shut `used` down at the deadline, or now if it has passed."""
        # A duplicate descriptor: the call may close its socket, or wrap it in TLS, at any time.
        ours = socket.socket(fileno=os.dup(used.fileno()))
        with self._guard:
            self._sockets.append(ours)
            over = self.is_over
        if over:
            self._shut()

    def end(self) -> None:
        self._timer.cancel()
        with self._guard:
            for ours in self._sockets:
                ours.close()
            self._sockets.clear()

    def _shut(self) -> None:
        with self._guard:
            self.is_over = True
            for ours in self._sockets:
                # The peer may have closed it already; then nothing waits on it.
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)


class _OfThread(threading.local):
    """The deadline of the call on this thread."""

    deadline: SocketDeadline | None = None


_of_thread = _OfThread()


@contextmanager
def sockets_shut_after(seconds: float) -> Iterator[SocketDeadline]:
    """Within the block, sockets of this thread that were passed to `watched` are shut down after `seconds`."""
    deadline = _of_thread.deadline = SocketDeadline(seconds)
    try:
        yield deadline
    finally:
        _of_thread.deadline = None
        deadline.end()


def watched(used: socket.socket) -> socket.socket:
    """Register the socket with this thread's deadline, if any, and return it."""
    if _of_thread.deadline is not None:
        _of_thread.deadline.watch(used)
    return used
