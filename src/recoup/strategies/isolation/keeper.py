"""Keeper: a thread of the parent that keeps one worker process, and does with it one job after another.

Only this thread talks to the process, ends it and waits for it, so there are no races about a process id. It waits for
two things at once: the line to the worker, and its bell, which anybody may ring at any time. What the ringing is about
is written down before: something in the inbox, a job whose caller has left, or `killed`.

The outcome of a job is told before a worker is killed, so no caller waits for that; the next job does.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from contextlib import suppress
from functools import partial

from recoup._core import emit
from recoup.errors import DeadlineExceeded, WorkerCrashed
from recoup.strategies.isolation.errands import dumped
from recoup.strategies.isolation.frames import BEGUN, CALL, TimeIsUpError, UnwantedError, framed, listen
from recoup.strategies.isolation.process import Worker
from recoup.strategies.isolation.state import HOME, RENEW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from recoup.strategies.isolation.jobs import Job
    from recoup.strategies.isolation.process import Plan
    from recoup.strategies.isolation.tally import Tally

    End = Literal["crashed", "killed", "recycled", "ended"]

__all__ = ["Keeper", "closed"]


class Keeper:
    """A thread and its worker process.

    Args:
        tally: Where it counts what becomes of its workers.
        make: Starts a worker.

    Attributes:
        pid: The process id of its worker; `None` if it has none.
        era: That of its worker; -1 if it has none.
        killed: Whether it has to go home at once.
    """

    def __init__(self, tally: Tally, make: Callable[[Plan, socket.socket], Worker] = Worker) -> None:
        self._tally = tally
        self._make = make
        self.killed = False
        self.pid: int | None = None
        self.era = -1
        self._inbox: deque[Any] = deque()
        self._worker: Worker | None = None
        self._ident = 0
        self._gone = threading.Event()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)

    def start(self, name: str) -> None:
        """Start the thread.

        Raises:
            RuntimeError: If the system has no more threads, or the interpreter ends.
        """
        try:
            threading.Thread(target=self._keep, name=name, daemon=True).start()
        except BaseException:
            self._gone.set()
            raise

    def give(self, item: Any) -> None:
        """Hand over a job, or an order of the crew. Never waits."""
        self._inbox.append(item)
        self.ring()

    def ring(self) -> None:
        """Have it look what is new. Never waits; safe in a finaliser and in a signal handler."""
        with suppress(OSError):  # full: somebody has rung, and nobody has heard it yet
            self._rope.send(b"!")

    def kill(self) -> None:
        """Have it end its worker, whatever that does, and go home."""
        self.killed = True
        self.ring()

    def join(self, seconds: float | None = None) -> None:
        """Wait until it has gone home; a listener that it tells something may call this in its own thread."""
        if threading.get_ident() != self._ident:
            self._gone.wait(seconds)

    def after_fork(self) -> None:
        """Let go of everything, in a forked child."""
        if self._worker is not None:
            self._worker.disown()
        self._worker = self.pid = None
        self._gone.set()
        self._inbox.clear()

    def _keep(self) -> None:
        self._ident = threading.get_ident()
        try:
            while self._goes_on(self._item()):
                pass
        finally:
            self._end("ended", kindly=not self.killed)
            self._gone.set()

    def _goes_on(self, item: Any) -> bool:
        """Do what was asked for; False to go home. An idle keeper holds neither a job nor its crew."""
        if item is HOME:
            return False
        if item is RENEW:
            self._end("ended", kindly=True)
            return True
        while item is not None:
            crew, tell = item.crew, self._serve(item)
            try:
                item = crew.next(self)
            finally:
                tell()  # only now: whoever calls again at once finds this worker idle, and starts no other
        return True

    def _item(self) -> Any:
        """Wait for something to do."""
        while True:
            if self._inbox:
                return self._inbox.popleft()
            if self.killed:
                return HOME
            if self._worker is None:
                listen(self._bell)
            elif not self._worker.line.idle():
                self._end("crashed", kindly=True)

    def _serve(self, job: Job) -> Callable[[], None]:
        """Do a job, whatever happens; give what tells the outcome, where that is not told yet."""
        tell = _nothing
        try:
            if self._ready(job) and job.begin(self):
                tell = self._do(job)
        except BaseException as error:  # noqa: BLE001 - somebody waits for it
            job.fail(error)
            self._end("killed", kindly=False)
        worker, most = self._worker, job.plan.config.max_calls_per_worker
        if worker is not None and most is not None and worker.calls >= most:
            tell()
            self._end("recycled", kindly=True)
            return _nothing
        return tell

    def _ready(self, job: Job) -> bool:
        """See that there is a worker which suits the job; if there can be none, the job fails."""
        plan, worker = job.plan, self._worker
        if worker is not None and worker.plan.era != plan.era:
            self._end("ended", kindly=True)
        elif worker is not None and not worker.line.quiet():
            self._end("crashed", kindly=True)
        if self._worker is not None:
            return True
        try:
            if self.killed:
                raise UnwantedError  # noqa: TRY301 - it does not matter when that is found out
            self._start(plan)
        except UnwantedError:
            job.fail(closed(plan.name))
            self._end("killed", kindly=False)
        except TimeIsUpError:
            seconds: Any = plan.config.start_timeout
            job.fail(DeadlineExceeded(seconds=seconds, started=False, name=f"start of a worker of {plan.name!r}"))
            self._end("killed", kindly=False)
        except EOFError:
            self._crashed(job, started=False)
        except BaseException as error:  # noqa: BLE001 - the initializer's, or of a system that has no more processes
            job.fail(error)
            self._end("ended", kindly=True)
        else:
            return True
        return False

    def _start(self, plan: Plan) -> None:
        worker = self._worker = self._make(plan, self._bell)
        self.pid, self.era = worker.pid, plan.era
        self._tally.add("started")
        if emit.listeners:
            from recoup.events import WorkerStarted  # noqa: PLC0415 - paid for only when somebody listens

            emit.tell(WorkerStarted(plan.name, worker.pid))
        worker.greet(lambda: self.killed)

    def _do(self, job: Job) -> Callable[[], None]:
        """Have the worker do a job; what went wrong is told at once, before the worker is killed for it."""
        worker: Any = self._worker
        deadline, started = job.deadline(), False

        def unwanted() -> bool:
            return job.left or self.killed

        try:
            worker.line.send(framed(CALL, dumped((job.call, deadline))), deadline, unwanted)
            while True:
                tag, payload = worker.line.receive(deadline, unwanted)
                if tag != BEGUN:
                    break
                started = True
        except EOFError:
            self._crashed(job, started=started)
        except TimeIsUpError:
            job.late(deadline)
            self._end("killed", kindly=False)
        except UnwantedError:
            job.fail(WorkerCrashed(name=job.plan.name, exitcode=None, started=started, pid=worker.pid))
            self._end("killed", kindly=False)
        else:
            worker.calls += 1
            return partial(job.answer, tag, payload, worker.pid)
        return _nothing

    def _crashed(self, job: Job, *, started: bool) -> None:
        pid, exitcode = self.pid, self._end("crashed", kindly=True)
        job.fail(WorkerCrashed(name=job.plan.name, exitcode=exitcode, started=started, pid=pid))

    def _end(self, how: End, *, kindly: bool) -> int | None:
        """End the worker, if there is one, and wait for that."""
        worker, self._worker = self._worker, None
        if worker is None:
            return None
        exitcode = worker.end(kindly=kindly)
        self.pid, self.era = None, -1
        if how != "ended":
            self._tally.add(how)
        if emit.listeners:
            from recoup.events import WorkerEnded  # noqa: PLC0415 - paid for only when somebody listens

            emit.tell(WorkerEnded(worker.plan.name, worker.pid, how, exitcode))
        return exitcode

    def __del__(self) -> None:
        with suppress(AttributeError):  # there were no sockets to be had
            self._bell.close()  # not earlier: whoever may ring has a reference
            self._rope.close()


def _nothing() -> None:
    """Tell nothing: it has been told."""


def closed(name: str) -> RuntimeError:
    """Make the error of a call that comes too late."""
    return RuntimeError(f"isolation {name!r} was closed: make another one")
