"""A time limit for a whole call over sockets.

The time limits of a socket begin anew with every byte, so a peer that drips would hold its caller without end. At the
deadline the sockets of the call are shut from outside. The look-up of a name cannot be shut.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SocketDeadline:
    """Shuts the sockets of one call when its time is over."""

    def __init__(self, seconds: float) -> None:
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.is_over = False
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, used: socket.socket) -> None:
        """Shut `used` at the deadline, or now where it has passed."""
        # A descriptor of our own: the call may close its socket, and give it to TLS, at any time.
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
                # The other side may have closed it already: then there is nothing left to wait for.
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)


class _OfThread(threading.local):
    """The deadline of the call that runs on this thread."""

    deadline: SocketDeadline | None = None


_of_thread = _OfThread()


@contextmanager
def sockets_shut_after(seconds: float) -> Iterator[SocketDeadline]:
    """Within the block, sockets of this thread that pass `watched` are shut when `seconds` are over."""
    deadline = _of_thread.deadline = SocketDeadline(seconds)
    try:
        yield deadline
    finally:
        _of_thread.deadline = None
        deadline.end()


def watched(used: socket.socket) -> socket.socket:
    """The same socket, watched by the deadline of this thread where there is one."""
    if _of_thread.deadline is not None:
        _of_thread.deadline.watch(used)
    return used
