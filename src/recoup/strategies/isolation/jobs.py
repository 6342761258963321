"""Job: one call that a worker process does, while its caller waits in a thread or in a task.

Whether a keeper begins a job or its caller calls it off is decided by one `pop`. Before, leaving costs nothing: the
job is taken out of the queue, or the worker that was being started for it is kept for the next one. Afterwards, leaving
kills the worker. That is what a process is for: nobody waits for the work any more, so it must not hold the worker, and
a coroutine that is cancelled stops in the middle as well. (Work that must not be cut is shielded by its caller, with
`asyncio.shield` for instance.)

The time of a job that has begun is the keeper's matter, so both colours wait alike, and for one thing: the outcome.
"""

from __future__ import annotations

from recoup._core import clock, emit, mode, timing, waiting
from recoup._core.deadlines import Deadline, Limit, exceeded
from recoup.errors import IsolationBusyError
from recoup.strategies.isolation import errands
from recoup.strategies.isolation.keeper import closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.waiting import TaskWaiter, ThreadWaiter
    from recoup.strategies.isolation.keeper import Keeper
    from recoup.strategies.isolation.process import Plan
    from recoup.strategies.isolation.state import Crew

__all__ = ["Job", "TaskCall", "ThreadCall", "start"]


class Job:
    """One call, between its caller and a keeper.

    Args:
        crew: Who does it.
        plan: How.
        call: What, pickled.
        waiter: Who waits for it.

    Attributes:
        left: Whether the caller has gone away after it had begun.
    """

    def __init__(self, crew: Crew, plan: Plan, call: bytes, waiter: ThreadWaiter | TaskWaiter) -> None:
        self.crew = crew
        self.plan = plan
        self.call = call
        self.waiter: Any = waiter
        self.left = False
        self._ambient = timing.current_deadline()
        self._patience: Any = plan.config.queue_timeout
        self._hurried = False  # whether the ambient deadline strikes before that
        self._unbegun = [None]
        self._keeper: Keeper | None = None
        self._outcome: Callable[[], Any] | None = None

    # What the caller does.

    def submit(self) -> float:
        """Look for a worker; give the seconds that the caller will wait until one takes the job.

        Raises:
            IsolationBusyError: If too many wait already.
            RuntimeError: If the isolation was closed, or a thread cannot be started.
        """
        verdict, hired = self.crew.submit(self)
        start(hired)
        if verdict == "closed":
            raise closed(self.plan.name)
        if verdict == "full":
            raise self._refusal(0.0)
        if verdict == "queued" and emit.listeners:
            from recoup.events import CallQueued  # noqa: PLC0415 - paid for only when somebody listens

            emit.tell(CallQueued(self.plan.name, self.crew.counts().waiting))
        if self._ambient is not None and (left := self._ambient.remaining()) < self._patience:
            self._patience, self._hurried = left, True
        return self._patience  # type: ignore[no-any-return]  # the config has made it seconds

    def called_off(self) -> bool:
        """Call it off, unless a keeper has begun it."""
        try:
            self._unbegun.pop()
        except IndexError:
            return False
        self.crew.withdraw(self)
        return True

    def too_late(self) -> bool:
        """Take note that the caller has waited long enough for a worker; False if one has begun the job."""
        if self.done() or not self.called_off():
            return False
        waited, ambient, hurried = self._patience, self._ambient, self._hurried

        def refuse() -> Any:
            self.crew.tally.add("timeout")
            if ambient is not None and hurried:
                raise exceeded(ambient, started=False)
            raise self._refusal(waited)

        self._outcome = refuse
        return True

    def leave(self) -> bool:
        """Go away. Never waits; tell whether the function may have begun."""
        if self.called_off():
            if self._ambient is not None and self._ambient.struck:
                self.crew.tally.add("timeout")
            return False
        self.left = True
        if self._keeper is not None:
            self._keeper.ring()
        return True

    def done(self) -> bool:
        """Tell whether there is an outcome."""
        return self._outcome is not None

    def result(self) -> Any:
        """Return what the function returned, or raise what became of it."""
        outcome: Any = self._outcome
        self._outcome = None
        return outcome()

    def _refusal(self, waited: float) -> IsolationBusyError:
        name = self.plan.name
        if emit.listeners:
            from recoup.events import CallRefused  # noqa: PLC0415 - paid for only when somebody listens

            emit.tell(CallRefused(name, "isolation", None))
        return IsolationBusyError(name=name, workers=self.crew.size, waited=waited)

    # What the keeper does.

    def wanted(self) -> bool:
        """Tell whether anybody waits for it yet."""
        return bool(self._unbegun) and not self.waiter.gone()

    def begin(self, keeper: Keeper) -> bool:
        """Begin it; False if it was called off."""
        self._keeper = keeper
        try:
            self._unbegun.pop()
        except IndexError:
            return False
        self.crew.tally.add("executed")
        return True

    def deadline(self) -> Deadline | None:
        """Make the deadline of the function, which runs from now on: its own, or one outside that is nearer."""
        seconds: Any = self.plan.config.timeout
        ambient = self._ambient
        if seconds is None or (ambient is not None and ambient.remaining() <= seconds):
            return ambient
        return Deadline(Limit(None, seconds, self.plan.name), clock.monotonic() + seconds)

    def answer(self, tag: bytes, payload: bytes, pid: int) -> None:
        """Tell what came from the worker."""
        self._end(lambda: errands.outcome(tag, payload, pid))

    def late(self, deadline: Any) -> None:
        """Tell that the deadline has struck."""

        def strike() -> Any:
            raise exceeded(deadline)

        self._end(strike)

    def fail(self, error: BaseException) -> None:
        """Tell an error."""
        error.__traceback__ = None  # whoever keeps the error would keep the keeper of these frames, and its sockets
        held = [error]

        def throw() -> Any:
            raise held.pop()

        self._end(throw)

    def _end(self, outcome: Callable[[], Any]) -> None:
        if self._outcome is None:
            self._outcome = outcome  # before the waiter: who waits again looks here first
            self.waiter.wake()


def start(hired: list[tuple[Keeper, Job]]) -> None:
    """Start new keepers; where the system has no more threads, the keeper's job fails with that."""
    hired = [*hired]
    while hired:
        keeper, job = hired.pop()
        try:
            keeper.start(f"recoup-{job.plan.name}")
        except BaseException as error:
            hired += job.crew.lost(keeper)
            job.fail(error)
            if not isinstance(error, RuntimeError):
                raise


class Call:
    """A function, and where it has to run.

    Args:
        fn: What stands inside the isolation here; for when recovery is switched off, or this process is a worker.
        target: The user's function.
        crew: Who does it.
        plan: Gives how.
    """

    def __init__(self, fn: Callable[..., Any], target: Any, crew: Crew, plan: Callable[[], Plan]) -> None:
        self._fn = fn
        self._target = target
        self._crew = crew
        self._plan = plan

    def _here(self) -> bool:
        return errands.inside or (mode.active > 0 and mode.off())

    def _job(
        self, waiter: Callable[[], ThreadWaiter | TaskWaiter], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Job:
        ambient = timing.current_deadline()
        if ambient is not None and ambient.expired:
            raise exceeded(ambient, started=False)
        call = errands.packed(self._target, args, kwargs)
        return Job(self._crew, self._plan(), call, waiter())


class ThreadCall(Call):
    """A call whose caller is a thread."""

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function in a worker, and wait for what it returns or raises."""
        if self._here():
            return self._fn(*args, **kwargs)
        job = self._job(waiting.for_thread, args, kwargs)
        try:
            if not job.waiter.wait(job.submit()) and not job.too_late():
                job.waiter.wait()
        except BaseException:  # a refusal, Ctrl-C, or whatever a signal handler raised
            job.leave()
            raise
        return job.result()


class TaskCall(Call):
    """A call whose caller is a task."""

    async def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function in a worker, and await what it returns or raises."""
        if self._here():
            result = self._fn(*args, **kwargs)
            return await result if hasattr(type(result), "__await__") else result
        job = self._job(waiting.for_task, args, kwargs)
        try:
            if not await job.waiter.wait_async(job.submit()) and not job.too_late():
                job.waiter = again = waiting.for_task()
                if not job.done():
                    await again.wait_async()
        except BaseException:  # a refusal, or cancellation
            if not job.leave():
                timing.departed(begun=False)
            raise
        return job.result()
