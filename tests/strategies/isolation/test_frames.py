"""Messages over a socket, and whoever waits for them (G12)."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from recoup._core import clock
from recoup._core.deadlines import Deadline, Limit
from recoup.strategies.isolation import frames
from recoup.strategies.isolation.frames import CALL, Line, TimeIsUpError, UnwantedError, framed, listen, read

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ends:
    """Both ends of a line, and of its bell."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.bell, self.rope = socket.socketpair()
        self.bell.setblocking(False)
        self.line = Line(ours, self.bell)

    def close(self) -> None:
        self.line.close()
        for each in (self.theirs, self.bell, self.rope):
            each.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def never() -> bool:
    return False


def soon(seconds: float) -> Deadline:
    return Deadline(Limit(None, seconds, "soon"), clock.monotonic() + seconds)


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_messages_arrive_whole(ends: Ends, size: int) -> None:
    """A message of any size arrives as it was sent, in both directions."""
    payload = os.urandom(size)
    answers: list[tuple[bytes, bytes]] = []

    def answer() -> None:
        answers.append(read(ends.theirs.recv))
        ends.theirs.sendall(framed(b"x", payload))

    thread = threading.Thread(target=answer)
    thread.start()
    ends.line.send(framed(CALL, payload), None, never)
    assert ends.line.receive(soon(600), never) == (b"x", payload)
    thread.join()
    assert answers == [(CALL, payload)]


def test_the_end_is_noticed(ends: Ends) -> None:
    """A line whose other end is gone says so, in the middle of a message as well, and with something unread."""
    ends.theirs.send(framed(CALL, b"12345678")[:-1])
    ends.line.send(framed(CALL, b"never read"), None, never)
    ends.theirs.close()
    with pytest.raises(EOFError):
        ends.line.receive(None, never)
    with pytest.raises(EOFError):
        ends.line.receive(None, never)
    with pytest.raises(EOFError):
        ends.line.send(framed(CALL, b""), None, never)
    assert not ends.line.quiet()
    assert not ends.line.idle()


def test_time_is_up(ends: Ends) -> None:
    """A worker that does not answer, or does not read, holds nobody up beyond the deadline."""
    with pytest.raises(TimeIsUpError):
        ends.line.receive(soon(0.001), never)
    ends.theirs.send(b"\0\0")
    with pytest.raises(TimeIsUpError):
        ends.line.receive(soon(0.001), never)
    with pytest.raises(TimeIsUpError):
        ends.line.send(bytes(50_000_000), soon(0.001), never)


def test_a_socket_may_have_less_room_than_it_seems(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that takes nothing after all is asked again."""
    monkeypatch.setattr(Line, "_wait", lambda *_: None)
    payload = bytes(5_000_000)
    found: list[tuple[bytes, bytes]] = []
    thread = threading.Thread(target=lambda: found.append(read(ends.theirs.recv)))
    thread.start()
    ends.line.send(framed(CALL, payload), None, never)
    thread.join()
    assert found == [(CALL, payload)]


def test_a_frozen_clock_hangs_nobody(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait ends when the system says so, also if the clock stands still (B2, G12)."""
    deadline = soon(0.001)
    frozen = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: frozen)
    with pytest.raises(TimeIsUpError):
        ends.line.receive(deadline, never)


def test_a_long_wait_is_cut_in_pieces(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline beyond what the system can wait for at once is waited for in pieces."""
    monkeypatch.setattr(frames, "_LONGEST", 0.001)
    asked: list[None] = []

    def unwanted() -> bool:
        asked.append(None)
        return len(asked) > 5

    with pytest.raises(UnwantedError):
        ends.line.receive(soon(10**9), unwanted)


def test_the_bell_interrupts(ends: Ends) -> None:
    """Whoever waits looks whether it is wanted yet when somebody rings, and goes on if it is."""
    answers = iter([False, False, True])
    ends.rope.send(b"!!")
    with pytest.raises(UnwantedError):
        ends.line.receive(None, lambda: next(answers) or ends.rope.send(b"!") != 1)
    ends.rope.send(b"!")
    assert ends.line.idle()
    ends.rope.send(b"!")
    listen(ends.bell)
    with pytest.raises(BlockingIOError):
        ends.bell.recv(1)
    frames.hear(ends.bell)  # nobody has rung: that is nothing to it
