"""Frames: whole messages over a socket between two processes, each with its length in front and a tag.

The worker's end blocks. The keeper's end (`Line`) never does: whatever it waits for, it also listens for its bell, and
has a deadline. So a worker that stops in the middle of a message, or never reads one, holds nobody up.
"""

from __future__ import annotations

import select
import struct
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from recoup._core.deadlines import Deadline

__all__ = [
    "BEGUN",
    "CALL",
    "LOST",
    "RAISED",
    "READY",
    "RETURNED",
    "SETUP",
    "Line",
    "TimeIsUpError",
    "UnwantedError",
    "framed",
    "listen",
    "read",
]

SETUP, CALL = b"s", b"c"  # what the worker is told: to call the initializer; to call a function
READY, BEGUN, RETURNED, RAISED, LOST = b"y", b"b", b"r", b"e", b"l"  # what it answers; LOST: it cannot be pickled

_HEAD = struct.Struct("!Qc")
_PIECE = 1 << 18  # bytes asked for at once: a broken head must not ask for all the memory there is
_LONGEST = 10**6  # seconds that `poll` is asked to wait at once; it takes milliseconds as a C int


class TimeIsUpError(Exception):
    """The deadline of a wait has struck."""


class UnwantedError(Exception):
    """Whoever waited for an answer is gone, or the keeper has to go home."""


def framed(tag: bytes, payload: bytes) -> bytes:
    """Make a message of a tag and what belongs to it."""
    return _HEAD.pack(len(payload), tag) + payload


def read(receive: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """Read a message: its tag, and what belongs to it.

    Args:
        receive: Gives some bytes, as many as it is asked for at most; none at the end.

    Raises:
        EOFError: If the other end is closed, or its process gone.
    """
    size, tag = _HEAD.unpack(_exactly(receive, _HEAD.size))
    return tag, _exactly(receive, size)


def _exactly(receive: Callable[[int], bytes], size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        try:
            piece = receive(min(size - len(found), _PIECE))
        except OSError as error:  # reset: the process is gone, with something unread
            raise EOFError from error
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


class Line:
    """The keeper's end of the socket to its worker. Used in the keeper's thread only.

    Args:
        sock: The socket; it becomes the line's own.
        bell: Readable when somebody has rung.
    """

    def __init__(self, sock: socket.socket, bell: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._bell = bell
        self._reading, self._writing = select.poll(), select.poll()
        for poll, event in ((self._reading, select.POLLIN), (self._writing, select.POLLOUT)):
            poll.register(sock, event)
            poll.register(bell, select.POLLIN)

    def send(self, message: bytes, deadline: Deadline | None, unwanted: Callable[[], bool]) -> None:
        """Send a whole message.

        Args:
            message: What `framed` made.
            deadline: Until when; `None` for as long as it takes.
            unwanted: Asked when the bell rings: whether to give up.

        Raises:
            TimeIsUpError: If the deadline has struck.
            UnwantedError: If it is not wanted any more.
            EOFError: If the process is gone.
        """
        rest = memoryview(message)
        while rest:
            self._wait(self._writing, deadline, unwanted)
            try:
                rest = rest[self._sock.send(rest[:_PIECE]) :]
            except BlockingIOError:  # less room than it seemed
                continue
            except OSError as error:
                raise EOFError from error

    def receive(self, deadline: Deadline | None, unwanted: Callable[[], bool]) -> tuple[bytes, bytes]:
        """Wait for a message; parameters and errors as for `send`."""

        def some(size: int) -> bytes:
            while True:
                self._wait(self._reading, deadline, unwanted)
                with suppress(BlockingIOError):
                    return self._sock.recv(size)

        return read(some)

    def idle(self) -> bool:
        """Wait until somebody rings, or the process, which has nothing to say now, ends; False for the latter."""
        found = dict(self._reading.poll())
        if self._bell.fileno() in found:
            hear(self._bell)
        return self._sock.fileno() not in found

    def quiet(self) -> bool:
        """Tell whether the process is there and has nothing to say, as it should when it has nothing to do."""
        return self._sock.fileno() not in dict(self._reading.poll(0))

    def close(self) -> None:
        """Hang up, which tells an idle worker to end."""
        self._sock.close()

    def _wait(self, poll: select.poll, deadline: Deadline | None, unwanted: Callable[[], bool]) -> None:
        """Wait until the socket can be used. A wait that is over is over, whatever a frozen clock says (B2, G12)."""
        while True:
            if unwanted():
                raise UnwantedError
            left = _LONGEST if deadline is None else min(deadline.remaining(), _LONGEST)
            found = dict(poll.poll(left * 1000))
            if self._sock.fileno() in found:
                return
            if found:
                hear(self._bell)
            elif left < _LONGEST:
                raise TimeIsUpError


def listen(bell: socket.socket) -> None:
    """Wait until somebody rings."""
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    poll.poll()
    hear(bell)


def hear(bell: socket.socket) -> None:
    """Take note that somebody has rung; what for is written elsewhere, before."""
    with suppress(BlockingIOError):
        bell.recv(4096)
