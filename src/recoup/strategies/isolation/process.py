"""Worker: the parent's handle on one worker process. Used in the thread of its keeper only."""

from __future__ import annotations

import multiprocessing
import selectors
import socket
from contextlib import suppress
from itertools import count
from multiprocessing import process as processes
from typing import NamedTuple

from recoup._core import clock
from recoup._core.deadlines import Deadline, Limit
from recoup.errors import UnpicklableError
from recoup.strategies.isolation import errands, worker
from recoup.strategies.isolation.frames import READY, SETUP, Line, framed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.strategies.isolation.config import IsolationConfig

__all__ = ["Plan", "Worker"]

_numbers = count(1)
_PATIENCE = 1000


class Plan(NamedTuple):
    """What held when a call was made: it ends under that, whatever is changed meanwhile (B5).

    Attributes:
        name: Of the isolation.
        config: Its configuration.
        era: The crew's.
    """

    name: str
    config: IsolationConfig
    era: int


class Worker:
    """One worker process.

    Args:
        plan: How to start it.
        bell: Rung when somebody wants something of the keeper.

    Raises:
        RuntimeError: If this process must not start others now.
        OSError: If the system has no process, or no file descriptor, to give.
    """

    def __init__(self, plan: Plan, bell: socket.socket) -> None:
        refuse_to_start()
        self.plan = plan
        self.calls = 0
        ours, theirs = socket.socketpair()
        context: Any = multiprocessing.get_context(plan.config.start_method)
        name = f"recoup-{plan.name}-{next(_numbers)}"
        self._process = context.Process(target=worker.main, args=(theirs,), name=name, daemon=False)
        try:
            with theirs:
                self._process.start()
        except BaseException:
            ours.close()
            raise
        self.pid: int = self._process.pid
        self.line = Line(ours, bell)

    def greet(self, unwanted: Callable[[], bool]) -> Any:
        """Wait until the process is ready, and its initializer has been called.

        Raises:
            Exception: What the initializer raised.
            TimeIsUpError: After `start_timeout`.
            UnwantedError: If the keeper is asked to go home.
            EOFError: If the process ends.
        """
        seconds: Any = self.plan.config.start_timeout
        deadline = Deadline(Limit(None, seconds, "start_timeout"), clock.monotonic() + seconds)
        self.line.send(framed(SETUP, self._setup()), deadline, unwanted)
        tag, payload = self.line.receive(deadline, unwanted)
        if tag != READY:
            errands.outcome(tag, payload, self.pid)

    def _setup(self) -> bytes:
        reason = ""
        try:
            return errands.dumped(self.plan.config.initializer)
        except Exception as error:  # noqa: BLE001 - said in words: its traceback would keep this object alive
            reason = f"{type(error).__qualname__}: {error}"
        raise UnpicklableError(what="the initializer", reason=reason)

    def end(self, *, kindly: bool) -> int | None:
        """End the process and wait for it: nothing is left of it, not even a zombie.

        Args:
            kindly: Whether it has nothing to do, and may go by itself.

        Returns:
            What it ended with; negative for a signal.
        """
        process, grace = self._process, self.plan.config.kill_grace
        if kindly:
            self.line.close()
        if not kindly or not self._ends_within(grace):
            process.terminate()
            if not self._ends_within(grace):
                process.kill()
        exitcode = self._exitcode()
        self.line.close()
        with suppress(ValueError):  # nobody can tell how it ended
            process.close()
        return exitcode

    def _exitcode(self) -> int | None:
        """Wait for the end of the process; `None` if the program has told the system to forget ended children."""
        self._ends_within(None)
        for _ in range(_PATIENCE):  # while another thread is being told, this one is told nothing
            self._process.join()
            exitcode: int | None = self._process.exitcode
            if exitcode is not None:
                return exitcode
        return None

    def _ends_within(self, seconds: Any) -> bool:
        """Wait for the process; not by `join`, which reads a clock that may be frozen."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.sentinel, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def disown(self) -> None:
        """Let go of it in a forked child, whose it is not: a copy of the line here would hide the parent's end."""
        self.line.close()
        # multiprocessing would end it when the child ends, for there is no way to tell it of the fork.
        children: set[Any] = getattr(processes, "_children", set())
        children.discard(self._process)


def refuse_to_start() -> None:
    """Raise if this process must not start others, with words on what to do."""
    current = multiprocessing.current_process()
    if getattr(current, "_inheriting", False):
        raise RuntimeError(
            "a worker process imports the program's main module, and that calls an isolated function: put what the "
            'program does under `if __name__ == "__main__":`'
        )
    if current.daemon:
        raise RuntimeError(
            "this process is a daemon of multiprocessing and may not have child processes: make it with daemon=False"
        )
