"""What a worker does, in a thread of this process."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Isolation
from recoup.strategies.isolation import errands, worker
from recoup.strategies.isolation.errands import dumped, packed
from recoup.strategies.isolation.frames import BEGUN, CALL, READY, RETURNED, SETUP, framed, read
from recoup.strategies.isolation.worker import work
from tests.strategies.isolation import fakes
from tests.strategies.isolation.conftest import until
from tests.strategies.isolation.fakes import GATES, Gate

if TYPE_CHECKING:
    from collections.abc import Iterator


class At:
    """A worker at work."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.left: list[int] = []
        self.thread = threading.Thread(target=work, args=(self.theirs, self.left.append), daemon=True)
        self.thread.start()

    def ask(self, tag: bytes, payload: bytes) -> None:
        self.ours.sendall(framed(tag, payload))

    def answer(self) -> tuple[bytes, bytes]:
        return read(self.ours.recv)


@pytest.fixture
def at() -> Iterator[At]:
    made = At()
    yield made
    made.ours.close()
    made.thread.join()
    made.theirs.close()


def called(function: Any, *args: Any) -> bytes:
    return dumped((packed(function, args, {}), None))


def test_it_does_one_errand_after_another(at: At) -> None:
    """A worker is set up, then calls what it is told to, and ends when the parent hangs up."""
    at.ask(SETUP, dumped(None))
    assert at.answer() == (READY, b"")
    for number in range(3):
        at.ask(CALL, called(fakes.add, number))
        assert at.answer() == (BEGUN, b"")
        assert at.answer() == (RETURNED, dumped(number + 1))
    at.ours.close()
    at.thread.join()
    assert at.left == []


def test_it_leaves_when_the_parent_is_gone(at: At) -> None:
    """If the parent is gone while a function runs, the process ends at once: nobody is left who could end it."""
    gate = GATES["parent"] = Gate()
    at.ask(CALL, called(fakes.wait, "parent"))
    assert gate.began.acquire(timeout=600)
    at.ours.close()
    until(lambda: at.left == [1])
    gate.open.set()
    at.thread.join()


def test_a_parent_that_does_not_want_the_answer(at: At) -> None:
    """A worker whose answer finds nobody is done."""
    at.ours.shutdown(socket.SHUT_RD)
    at.ask(CALL, called(fakes.add, 1))
    at.thread.join()


def test_main_leaves_interrupts_to_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker ignores Ctrl-C, hides nothing by its children, and runs isolated functions itself."""
    done: list[object] = []
    monkeypatch.setattr(signal, "signal", lambda *args: done.append(args))
    monkeypatch.setattr(os, "register_at_fork", lambda **hooks: done.append(hooks))
    monkeypatch.setattr(worker, "work", lambda *args: done.append(args))
    monkeypatch.setattr(errands, "inside", False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker.main(theirs)
        assert done == [
            (signal.SIGINT, signal.SIG_IGN),
            {"after_in_child": theirs.close},
            (theirs, os._exit),
        ]
    assert errands.inside
    isolation = Isolation()
    assert isolation.execute_sync(os.getpid) == os.getpid()
    assert isolation.metrics["started"] == 0
