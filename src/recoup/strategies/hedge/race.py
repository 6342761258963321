"""Race: one call, and its attempts beside one another."""

from __future__ import annotations

from functools import partial

from recoup._core import clock, emit, mode, notes, timing
from recoup._core.conditions import plainly
from recoup.strategies.hedge.crew import crew_here
from recoup.strategies.hedge.state import HedgeRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from recoup.strategies.hedge.crew import Crew
    from recoup.strategies.hedge.strategy import Hedge

__all__ = ["Race"]


class Race:
    """One call of a hedged function.

    Args:
        hedge: The strategy object; the call ends under the options that hold when it begins.
        fn: What to call.
    """

    def __init__(self, hedge: Hedge, fn: Callable[..., Awaitable[Any]]) -> None:
        self._hedge = hedge
        self._config = hedge.config
        self._fn = fn

    async def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, once more while that takes long, and give the first value that comes.

        Every way out ends the tasks of the attempts: they are cancelled, and waited for as long as the grace lasts.

        Raises:
            BaseException: What the first attempt raised, if no attempt succeeded.
        """
        grace: Any = self._config.grace  # the config has made it seconds
        crew = None if mode.active and mode.off() else crew_here(grace)
        if crew is None:
            return await self._fn(*args, **kwargs)
        run = HedgeRun(self._hedge._pace, self._config.max_attempts, clock.monotonic())
        try:
            async with crew:
                try:
                    await self._decide(crew, run, partial(self._fn, *args, **kwargs))
                finally:
                    run.over = True  # what comes from now on is nobody's
        except BaseException as error:
            if not isinstance(error, GeneratorExit):  # which must not await any more
                await _leave_behind(crew, run, [run.value] if run.winner else [])
            raise
        try:
            return self._told(run)
        finally:
            if run.spurned:
                await _leave_behind(crew, run)

    async def _decide(self, crew: Crew, run: HedgeRun, call: Callable[[], Awaitable[Any]]) -> None:
        """Start attempts when they are due, until the call is decided."""
        self._start(crew, run, call)
        while not run.over:
            seconds = run.wait(clock.monotonic(), timing.time_left())
            if not await crew.wait(seconds) and not run.over and run.add(clock.monotonic()):
                self._start(crew, run, call)

    def _start(self, crew: Crew, run: HedgeRun, call: Callable[[], Awaitable[Any]]) -> None:
        attempt = run.start(clock.monotonic())
        if attempt > 1 and emit.listeners:
            from recoup.events import HedgeStarted  # noqa: PLC0415 - paid for only when somebody listens

            emit.tell(HedgeStarted(self._hedge.name, attempt, run.delay))
        judge = self._config.failure_on_result
        crew.start(partial(_attempt, crew, run, call, attempt, judge), partial(run.failed, attempt))

    def _told(self, run: HedgeRun) -> Any:
        """Return what the winner returned, or raise the error of the first attempt."""
        stopped = run.control is not None
        error = run.outcome()
        if error is None:
            if run.winner > 1 and emit.listeners:
                from recoup.events import HedgeWon  # noqa: PLC0415 - paid for only when somebody listens

                emit.tell(HedgeWon(self._hedge.name, run.winner))
            return run.value
        if run.attempts > 1 and not stopped:
            text = f"all {run.attempts} attempts of hedge {self._hedge.name!r} failed; the first one's error"
            notes.note(error, text)
        try:
            raise error
        finally:
            error = None  # its traceback holds this frame


async def _leave_behind(crew: Crew, run: HedgeRun, values: Iterable[Any] = ()) -> None:
    """Close values that nobody takes, and the results that would not do, but for one that is taken all the same."""
    given = () if values else (run.value,)
    unwanted = {id(each): each for each in (*values, *run.spurned.values())}
    run.spurned.clear()
    for each in unwanted.values():
        if not any(each is one for one in given):
            await crew.leave_behind(each)


async def _attempt(
    crew: Crew, run: HedgeRun, call: Callable[[], Awaitable[Any]], attempt: int, judge: Callable[[Any], bool] | None
) -> None:
    """Make one attempt, in a task of its own."""
    try:
        value = await call()
    except BaseException as error:
        if crew.passes(error):
            raise
        run.failed(attempt, error)
    else:
        if judge is not None and _fails(run, judge, value):
            taken = run.turned_down(attempt, value)
        else:
            taken = run.succeeded(attempt, value, clock.monotonic())
        if not taken and not (run.winner and value is run.value):
            await crew.dispose(value)
    finally:
        crew.wake()


def _fails(run: HedgeRun, judge: Callable[[Any], bool], value: Any) -> bool:
    """Ask whether a result will not do; an error of the predicate stops the call."""
    if run.over:
        return False
    try:
        return bool(plainly("failure_on_result", judge(value)))
    except BaseException as error:  # noqa: BLE001 - it comes out of the call
        run.stopped(error)
        return True
