"""The command in a terminal and in a pipe: however it ends, nothing is left running."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


class Terminal:
    """The command in a terminal of its own, which is the controlling one, so that Ctrl-C is a signal."""

    TAKE = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )

    def __init__(self, *arguments: str) -> None:
        self.leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 80))
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.TAKE, sys.executable, "-m", "recoup", "demo", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"},
        )
        os.close(follower)
        self.seen = b""

    def until(self, text: bytes) -> None:
        """Read what is shown until this text is."""
        while text not in self.seen:
            assert self._read(), f"the terminal was closed before {text!r} was shown"

    def until_closed(self) -> None:
        """Read until nobody has the terminal open: neither the command nor its server, whose errors go there."""
        while self._read():
            pass

    def _read(self) -> bytes:
        assert select.select([self.leader], [], [], 30)[0], "nothing was shown for 30 s"
        try:
            more = os.read(self.leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            more = b""
        self.seen += more
        return more

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        self.process.kill()
        self.process.wait()
        os.close(self.leader)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Run the command in a terminal, and wait until its live view is on."""
    terminal = Terminal()
    try:
        terminal.until(b"one service, two clients")
        yield terminal
    finally:
        terminal.close()


def test_ctrl_c_ends_everything_and_gives_the_cursor_back(terminal: Terminal) -> None:
    """Ctrl-C in the terminal ends client and server at once; the code is 130 and the cursor is there again."""
    os.write(terminal.leader, b"\x03")
    terminal.until_closed()
    assert terminal.process.wait(10) == 130
    assert terminal.seen.rindex(b"\x1b[?25h") > terminal.seen.rindex(b"\x1b[?25l")
    assert b"interrupted; nothing is left running" in terminal.seen
    assert b"Traceback" not in terminal.seen


def test_sigterm_ends_everything_and_gives_the_cursor_back(terminal: Terminal) -> None:
    """SIGTERM ends client and server in order as well; the code is 143."""
    terminal.process.terminate()
    terminal.until_closed()
    assert terminal.process.wait(10) == 143
    assert terminal.seen.rindex(b"\x1b[?25h") > terminal.seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in terminal.seen


def test_a_killed_demo_leaves_no_server(terminal: Terminal) -> None:
    """After SIGKILL, which nothing can handle, the server ends by itself: nobody has the terminal open any more."""
    terminal.process.kill()
    terminal.until_closed()
    assert terminal.process.wait(10) == -signal.SIGKILL


def test_a_reader_that_goes_away_ends_the_demo_quietly() -> None:
    """`recoup demo | head -1` ends with the first line it cannot write, without a traceback (rich sees to that)."""
    with subprocess.Popen(
        [sys.executable, "-m", "recoup", "demo", "--speed", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "healthy" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(10) == 1
