"""A call of an `@saga` function: in memory, in a journal, or handed to an engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from recoup._core import mode
from recoup.errors import SagaExists, SagaStuck
from recoup.sagas import describing, functions, recovery, undoing, values
from recoup.sagas.joined import DurableSteps
from recoup.sagas.keeper import Journal
from recoup.sagas.ledger import Outcome
from recoup.sagas.replay import MismatchError, Replay, branch_of
from recoup.sagas.scope import DurableSaga
from recoup.strategies.compensation import perform, steps
from recoup.strategies.compensation.scope import Saga

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.sagas.functions import SagaFunction
    from recoup.sagas.ledger import Entry
    from recoup.sagas.run import Run
    from recoup.sagas.writer import Ticket

__all__ = ["FunctionSaga", "Wrappers", "again"]


class FunctionSteps(DurableSteps):
    """The steps of a function's saga: those of before a crash are remembered."""

    __slots__ = ("answer", "replay")

    def __init__(self, run: Run, name: str, *, waits: bool) -> None:
        super().__init__(run, name, waits=waits)
        self.replay = Replay(run.ledger)
        self.replay.begin(branch_of())
        self.answer: str = "{}"

    def intend(self, body: str) -> tuple[Entry, Ticket | None]:
        """Begin a step, or go on with one of before; no ticket means that it is over."""
        told = json.loads(body)
        try:
            entry, branch = self.replay.match(told, branch_of())
        except MismatchError as error:
            raise SagaStuck(id=self.run.id, name=self.run.name, reason=f"its code has changed: {error}") from None
        if entry is None:
            return super().intend(json.dumps({**told, "branch": branch}, separators=(",", ":")) if branch else body)
        if entry.outcome is not Outcome.BEGUN:
            return entry, None
        # It is written already; writing it once more asks whether the saga is still ours.
        return entry, self.run.write(entry.record)

    def result(self, value: object, what: str, *, keeps: bool) -> str:
        """Write what a step returned; it is needed when the function is run again."""
        return describing.result(value, what, keeps=keeps, opaque=False)

    def unfinished(self) -> BaseException | None:
        """Say why the function's saga cannot complete although it returned."""
        if (entry := self.replay.left()) is not None:
            reason = f"its code has changed: step {entry.n} ({entry.step}) did not come again"
            return SagaStuck(id=self.run.id, name=self.run.name, reason=reason)
        return super().unfinished()


class FunctionSaga(DurableSaga):
    """The block round one call of a function.

    Args:
        function: What is called.
        journal: Where the saga is kept.
        run: What is run again; `None` for a first time.
    """

    __slots__ = ("_again", "_call", "_function", "entered")

    def __init__(
        self,
        function: SagaFunction,
        journal: Journal,
        call: tuple[tuple[Any, ...], dict[str, Any]],
        run: Run | None = None,
    ) -> None:
        key = None if run is not None or steps.joined() is not None else function.key_of(*call)
        super().__init__(
            function.name,
            journal=journal,
            key=key,
            version=function.version,
            saga_timeout=function.saga_timeout,
            **function.kept,
        )
        self._function = function
        self._call = call
        self._again = run
        self.entered = False

    def done(self, result: Any) -> Any:
        """Take what the function returned.

        Raises:
            UnserializableError: If it cannot be written.
        """
        if isinstance(self._steps, FunctionSteps):
            plain = values.plain(result, f"the result of {self._function.ref}")
            self._steps.answer = json.dumps({"result": plain}, separators=(",", ":"))
        return result

    def _made(self) -> Run:
        return self._again or self._function.begun(self._journal, *self._call)

    def _joining(self, run: Run, *, waits: bool, outer: steps.Steps | None) -> DurableSteps:
        if outer is not None:
            return super()._joining(run, waits=waits, outer=outer)
        return FunctionSteps(run, self.name, waits=waits)

    def _answer(self) -> str:
        return self._steps.answer if isinstance(self._steps, FunctionSteps) else "{}"

    def _undoing(self, mine: DurableSteps, error: BaseException, *, waits: bool) -> perform.Job | None:
        hindrance = mine.run.ledger.hindrance()
        if mine.inner or isinstance(error, SagaStuck) or not hindrance:
            return super()._undoing(mine, error, waits=waits)
        mine.fail()
        error.add_note(f"recoup: saga {self.name!r} ({mine.run.id}) only goes forward now, and is run again later")
        return None


class Wrappers:
    """What goes round the functions; no pumps, for it decides where a saga is kept."""

    @staticmethod
    def plain(function: SagaFunction) -> Callable[..., Any]:
        """Make the wrapper of a plain function."""

        def placing(*args: Any, **kwargs: Any) -> Any:
            if (nested := getattr(steps.joined(), "nested", None)) is not None:
                return nested(function, args, kwargs)
            place = None if mode.active and mode.off() else function.journal()
            if place is None:
                with Saga(function.name, saga_timeout=function.saga_timeout, **function.kept):
                    return function.body(*args, **kwargs)
            if not isinstance(place, Journal):
                return place.run(function, args, kwargs, function.key_of(args, kwargs))
            block = FunctionSaga(function, place, (args, kwargs))
            try:
                with block:
                    block.entered = True
                    return block.done(function.body(*args, **kwargs))
            except SagaExists as exists:
                if block.entered:
                    raise
                return function.earlier(place, exists)

        return placing

    @staticmethod
    def asynchronous(function: SagaFunction) -> Callable[..., Any]:
        """Make the wrapper of a coroutine function."""

        async def placing(*args: Any, **kwargs: Any) -> Any:
            if (nested := getattr(steps.joined(), "nested", None)) is not None:
                return await nested(function, args, kwargs)
            place = None if mode.active and mode.off() else function.journal()
            if place is None:
                async with Saga(function.name, saga_timeout=function.saga_timeout, **function.kept):
                    return await function.body(*args, **kwargs)
            if not isinstance(place, Journal):
                return await place.run_async(function, args, kwargs, function.key_of(args, kwargs))
            block = FunctionSaga(function, place, (args, kwargs))
            try:
                async with block:
                    block.entered = True
                    return block.done(await function.body(*args, **kwargs))
            except SagaExists as exists:
                if block.entered:
                    raise
                return await function.earlier_async(place, exists)

        return placing


def again(run: Run, seconds: float) -> None:
    """Run a function again, in this thread; what it returned is in the journal.

    Raises:
        LostError: If the function, or a class of a value, is not found.
        BaseException: What it raised; then it is undone, or to be run again.
    """
    try:
        function = functions.find(run.start.fn, run.start.version)
        told = json.loads(run.start.args)
        args, kwargs = tuple(values.back(told["args"])), values.back(told["kwargs"])
    except (LookupError, TypeError, ValueError) as lost:
        raise recovery.LostError(f"saga {run.name!r} cannot be run again: {lost}") from lost
    _settle(run, seconds, waits=function.is_async)
    block = FunctionSaga(function, run.journal, (args, kwargs), run)
    if function.is_async:
        import asyncio  # noqa: PLC0415 - only for those who have asynchronous functions

        asyncio.run(_again_async(block, function, args, kwargs))
        return
    with block:
        block.done(function.body(*args, **kwargs))


async def _again_async(
    block: FunctionSaga, function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    async with block:
        block.done(await function.body(*args, **kwargs))


def _settle(run: Run, seconds: float, *, waits: bool) -> None:
    """Undo the steps that failed before the crash, whose function may have gone on without them."""
    failed = [each for each in run.ledger.owed() if each.outcome is Outcome.FAILED]
    if not failed:
        return
    error = RuntimeError("its step failed before a crash")
    tasks = [
        task
        for entry in failed
        for task in (*undoing.restored(run, entry), undoing.Written(run, entry, waits=waits).mark())
    ]
    job = perform.Job(run.name, tasks, seconds)
    if waits:
        import asyncio  # noqa: PLC0415 - as above

        asyncio.run(perform.undo_async(job, error))
    else:
        perform.undo(job, error)
