"""What runs in a worker process. Kept small: the parent's coverage does not see it, and tests call it in threads.

The main thread works, so that code which insists on the main thread has it. Another one listens: when the parent is
gone, be it by `kill -9`, a worker with nothing to do ends, and one whose function still runs ends at once. (A function
that never lets another thread of its process run delays that until it does.)
"""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue

from recoup.strategies.isolation import errands
from recoup.strategies.isolation.frames import BEGUN, CALL, framed, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import TypeAlias

    Inbox: TypeAlias = SimpleQueue[tuple[bytes, bytes] | None]

__all__ = ["main", "work"]


def main(sock: socket.socket) -> None:
    """Be a worker until the parent hangs up.

    Args:
        sock: The other end of the keeper's line.
    """
    # Ctrl-C in a terminal goes to all processes of the program. The parent decides what becomes of its calls.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.register_at_fork(after_in_child=sock.close)  # or a child of the function's would hide that this process is gone
    errands.inside = True
    work(sock, os._exit)


def work(sock: socket.socket, leave: Callable[[int], object]) -> None:
    """Do one errand after another.

    Args:
        sock: Where they come from, and their results go to.
        leave: Called in the listening thread when the parent is gone while an errand is under way.
    """
    inbox: Inbox = SimpleQueue()
    busy: list[None] = []

    def listen() -> None:
        try:
            while True:
                inbox.put(read(sock.recv))
        except EOFError:
            inbox.put(None)
            if busy:
                leave(1)

    threading.Thread(target=listen, name="recoup-listener", daemon=True).start()
    while (message := inbox.get()) is not None:
        busy.append(None)
        tag, payload = message
        errand = errands.call if tag == CALL else errands.set_up
        try:
            for answer, content in errand(payload):
                if answer != BEGUN:  # before it is sent: the parent may hang up as soon as it has the answer
                    busy.clear()
                sock.sendall(framed(answer, content))
        except OSError:  # the parent is gone, or does not want the answer any more
            return
        del message, payload, errand
