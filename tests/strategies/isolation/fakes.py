"""Workers that are threads: quick, and seen by the coverage of this process."""

from __future__ import annotations

import itertools
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from recoup.strategies.isolation.config import IsolationConfig
from recoup.strategies.isolation.frames import Line
from recoup.strategies.isolation.keeper import Keeper
from recoup.strategies.isolation.process import Worker
from recoup.strategies.isolation.strategy import Isolation
from recoup.strategies.isolation.worker import work

if TYPE_CHECKING:
    from recoup.strategies.isolation.process import Plan

_pids = itertools.count(1_000_000)
_here = threading.local()


class Gate:
    """Lets functions in threads go on."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.open = threading.Event()


GATES: dict[str, Gate] = {}


class ThreadWorker(Worker):
    """A worker whose process is a thread of this one. What it does when it is killed is to be hung up on."""

    def __init__(self, plan: Plan, bell: socket.socket) -> None:
        self.plan = plan
        self.calls = 0
        self.pid = next(_pids)
        ours, theirs = socket.socketpair()
        self.line = Line(ours, bell)
        self._sock = theirs
        self.kindly: bool | None = None
        self._thread = threading.Thread(target=self._be, args=(theirs,), daemon=True)
        self._thread.start()

    def _be(self, sock: socket.socket) -> None:
        _here.sock = sock
        with sock:
            work(sock, lambda code: None)

    def end(self, *, kindly: bool) -> int | None:
        self.kindly = kindly
        self.line.close()
        return 0 if kindly else -9


def threaded(name: str = "threads", **options: Any) -> Isolation:
    """Make an isolation whose workers are threads."""
    options = {"start_timeout": 600, "queue_timeout": 600, **options}  # the machine may be busy
    made = Isolation(IsolationConfig(**options), name=name)
    made._crew._make = partial(Keeper, make=ThreadWorker)
    return made


def add(left: int, right: int = 1) -> int:
    return left + right


def crash() -> None:
    """Have the worker's end of the line closed, as when its process is gone."""
    _here.sock.shutdown(socket.SHUT_RDWR)


def wait(gate: str) -> str:
    """Wait until somebody opens a gate."""
    found = GATES[gate]
    found.began.release()
    assert found.open.wait(600)
    return gate


class Caller(threading.Thread):
    """Makes one call in a thread."""

    def __init__(self, isolation: Isolation, function: Any, *args: Any) -> None:
        super().__init__(daemon=True)
        self.isolation, self.function, self.args = isolation, function, args
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.isolation.execute_sync(self.function, *self.args)
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            self.outcome = error

    def ended(self) -> Any:
        self.join()
        return self.outcome


class Failure(ConnectionError):
    """Can be referred to weakly."""


def fail(text: str) -> None:
    raise Failure(text)
