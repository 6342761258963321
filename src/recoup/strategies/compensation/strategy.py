"""Compensation as a strategy object and as a decorator.

What a failure sets in motion: a job (`_job`) made of tasks (`_tasks`), which `perform.py` runs.
"""

from __future__ import annotations

import math
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from recoup._core import checks, mode
from recoup._core.arguments import Parameters
from recoup._core.colour import Colour, described
from recoup._core.options import decorating, same
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.compensation import actions, memory, perform, plans, steps
from recoup.strategies.compensation.config import CompensationConfig
from recoup.strategies.compensation.pumps import (
    compensating,
    compensating_async,
    compensating_stream,
    compensating_stream_async,
)
from recoup.strategies.compensation.state import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from recoup._core.strategy import Place
    from recoup.strategies.compensation.config import CompensateOptions
    from recoup.strategies.compensation.memory import Packed
    from recoup.strategies.compensation.state import Task
    from recoup.strategies.compensation.steps import Steps

__all__ = ["Compensation", "compensate"]

_FACTORIES: dict[Colour, Callable[..., Any]] = {
    Colour.SYNC: compensating,
    Colour.ASYNC: compensating_async,
    Colour.STREAM: compensating_stream,
    Colour.ASYNC_STREAM: compensating_stream_async,
}


class Compensation(Strategy):
    """Run actions that undo what a failed call has done.

    A decorator (`@compensation`) and an executor (`await compensation.execute(func)`,
    `compensation.execute_sync(func)`). Whatever ends the call with an error starts the actions: an exception, a
    cancellation, a deadline, Ctrl-C. No cancellation stops them; `saga_timeout` does. Then the call's own error goes
    on, or a `CompensationError` if an action failed and `raise_original` is off. Control flow (a cancellation, Ctrl-C)
    is never replaced: what failed is logged and noted on it.

    In a `saga()` block a call that completes is remembered as a step, and undone when the block fails.

    Args:
        config: What to do; default `CompensationConfig()`, whose list of actions is empty.
        name: What errors, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: all state belongs to a call, so one object serves any number of threads, tasks and loops.

    >>> config = CompensationConfig(compensation_actions=[lambda state: print("releasing", state["seat"])])
    >>> def book(seat):
    ...     raise ConnectionError("no answer")
    >>> try:
    ...     Compensation(config).execute_sync(book, "12A")
    ... except ConnectionError as error:
    ...     print(error)
    releasing 12A
    no answer
    """

    kind: ClassVar[str] = "compensation"

    def __init__(self, config: CompensationConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = CompensationConfig()
        checks.instance("config", config, CompensationConfig)
        callbacks = ("on_compensation_start", "on_compensation_complete")
        super().__init__(
            name=name,
            async_callbacks=[each for each in callbacks if checks.awaitable_callback(getattr(config, each))],
        )
        self.config = config
        self._bare: FunctionType | None = None  # set by `compensate(function)`, which may have been meant otherwise
        self._tally = Tally()

    def __repr__(self) -> str:
        return f"<Compensation {self.name!r} actions={len(self.config.compensation_actions)}>"

    if not TYPE_CHECKING:  # pragma: no branch - a type checker takes the other way, and sees the base class alone

        def __call__(self, /, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - the base class documents it
            bare = self._bare
            if bare is None or (len(args) == 1 and not kwargs and _decoratable(args[0])):
                return super().__call__(*args, **kwargs)
            name = bare.__qualname__
            raise TypeError(
                f"compensate({name}) is a decorator that undoes other functions by calling {name!r}, and was called "
                f"like {name!r} itself: if you wrote @compensate above {name!r} to protect it, write @compensate(undo)"
            )

    @property
    def compensations(self) -> int:
        """How many failed calls have been compensated; steps undone by a saga are not counted here."""
        return self._tally.total

    def reconfigure(self, config: CompensationConfig | None = None, /, **changes: Any) -> None:
        """Change what undoes a call, and how, while calls run.

        Write `compensation.reconfigure(compensation_attempts=3)`, which keeps all other fields, or give a whole config.
        It counts for calls that fail from now on. A step that a saga has completed is undone as it was agreed then.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `CompensationConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range; for a callback, or a list of actions, that is async where the one
                before was not, or the other way round. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> compensation = Compensation()
        >>> compensation.reconfigure(compensation_actions=[print], use_sagas=True)
        >>> compensation
        <Compensation 'compensation' actions=1>
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Count `compensations` from 0 again. Sagas that are open keep their steps."""
        self._tally.begin_anew()

    def _settled(self, config: CompensationConfig) -> None:
        old, new = plans.suited(self.config), plans.suited(config)
        same(self, **{what: (old[what], new[what]) for what in old})

    def _adopt(self, config: CompensationConfig) -> None:
        self.config = config

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour = place.colour
        join: Callable[..., Steps | None] = partial(self._join, place.target) if colour.is_async else steps.still_open
        undo: Callable[..., Any] = partial(self._undo_async if colour.is_async else self._undo, place.target)
        keep: Callable[..., Any] = partial(self._keep_async if colour.is_async else self._keep, place.target)
        pack = partial(memory.packed, Parameters.of(place.target))
        return [Pump(_FACTORIES[colour], (steps.ambient, join, pack, undo, keep))]

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        actions.check(self.config.compensation_actions)
        if not colour.is_async and (found := actions.known_async(self.config.compensation_actions)):
            raise TypeError(
                f"compensation action {' and '.join(found)} is async, but {described(target)} is synchronous and "
                "cannot await: give a plain function, or make the decorated function async"
            )

    def _says(self) -> Sequence[str]:
        listed = self.config.compensation_actions
        names = ", ".join(actions.named(each) for each in listed) or "what its list holds by then"
        order = " in reverse" if self.config.use_sagas else ""
        tries = f", {self.config.compensation_attempts} tries each" if self.config.compensation_attempts > 1 else ""
        seconds: Any = self.config.saga_timeout
        goes_on = "the error" if self.config.raise_original else "the error, or CompensationError if an action failed,"
        return [f"on any error runs {names}{order}, {seconds:g} s at most{tries}; then {goes_on} goes on"]

    def _worst(self, inner: Worst, colour: Colour) -> Worst:
        seconds: Any = self.config.saga_timeout if colour.is_async else math.inf
        return Worst(inner.calls, inner.seconds + seconds)

    def _join(self, target: object, around: Steps) -> Steps | None:
        """Give the saga that an asynchronous step belongs to; refuse before it runs what could not be undone."""
        joined = steps.still_open(around)
        if joined is not None and not joined.waits:
            found = actions.known_async(self.config.compensation_actions)
            if found:
                raise TypeError(
                    f"{described(target)} is undone by {' and '.join(found)}, which is async, but saga {joined.name!r} "
                    "was opened with `with`: write `async with saga():`"
                )
        return joined

    def _undo(self, target: Callable[..., object], error: BaseException, call: Packed) -> None:
        """Undo a call that failed."""
        config = self.config
        perform.undo(self._job(config, plans.tasks(config, target, call, error=error)), error)

    async def _undo_async(self, target: Callable[..., object], error: BaseException, call: Packed) -> None:
        """Undo a call that failed, awaiting the actions."""
        config = self.config
        await perform.undo_async(self._job(config, plans.tasks(config, target, call, error=error)), error)

    def _job(self, config: CompensationConfig, tasks: list[Task]) -> perform.Job | None:
        if not tasks or (mode.active and mode.off()):
            return None
        self._tally.count()
        return perform.Job(self.name, tasks, cast("float", config.saga_timeout), config.raise_original)

    def _keep(self, target: Callable[..., object], joined: Steps, call: Packed, result: object) -> None:
        """Report a completed step to its saga; undo it at once if that has failed meanwhile."""
        config = self.config
        plan = plans.plan(config, target, call, result)
        if joined.completed(plan):
            return
        late = steps.too_late(described(target), joined)
        try:
            perform.undo(self._job(config, plan(late)), late)
            raise late
        finally:
            del late  # this frame is in its traceback: they would keep each other

    async def _keep_async(self, target: Callable[..., object], joined: Steps, call: Packed, result: object) -> None:
        """Do what `_keep` does, awaiting the actions."""
        config = self.config
        plan = plans.plan(config, target, call, result)
        if joined.completed(plan):
            return
        late = steps.too_late(described(target), joined)
        try:
            await perform.undo_async(self._job(config, plan(late)), late)
            raise late
        finally:
            del late  # as above


def compensate(
    target: Callable[..., object] | Sequence[Callable[..., object]] | CompensationConfig | Compensation | None = None,
    /,
    **options: Unpack[CompensateOptions],
) -> Compensation:
    """Undo what a function has done when it fails, and when a later step of the same `saga()` fails.

    Args:
        target: The action that undoes it, or a list of actions, a `CompensationConfig`, or a `Compensation` to share.
            An action that has a required positional parameter is called with a mapping: the call's arguments by name
            (what is in a mapping argument too), `args`, `kwargs`, `error`, and `result` if the call had completed.
        options: Fields of `CompensationConfig`, and `name`.

    Returns:
        A decorator for functions, coroutine functions, generators, methods and callable objects.

    Raises:
        TypeError: If nothing says how to undo, or an argument has the wrong type.
        ValueError: If an argument is out of range.

    The action runs for the failing call itself, because a call that failed may have had its effect all the same (the
    answer was lost, it was cancelled half-way): look whether there is something to undo, as `state.get("result")` does.

    >>> from recoup import compensate
    >>> seats = set()
    >>> @compensate(lambda state: seats.discard(state["seat"]))
    ... def book(seat):
    ...     seats.add(seat)
    ...     raise ConnectionError("the printer of tickets does not answer")
    >>> try:
    ...     book("12A")
    ... except ConnectionError:
    ...     seats
    set()
    """
    if target is None and "compensation_actions" not in options:
        raise TypeError("compensate() needs to know how to undo: write @compensate(undo), or give a list of actions")
    if target is None or isinstance(target, (CompensationConfig, Compensation)):
        return decorating(Compensation, CompensationConfig, target, options, bare=False)  # type: ignore[no-any-return]
    if "compensation_actions" in options:
        raise TypeError("compensate() got actions twice, by position and as compensation_actions: give one")
    bare = target if isinstance(target, FunctionType) and not options else None
    if bare is not None:
        _check_bare(bare)
    listed = [target] if callable(target) else target
    made: Compensation = decorating(Compensation, CompensationConfig, None, {**options, "compensation_actions": listed})
    made._bare = bare
    return made


def _check_bare(function: FunctionType) -> None:
    """Refuse what `@compensate` above a function most often gives: a function that is no action."""
    try:
        actions.takes_state(function)
    except TypeError as error:
        name = function.__qualname__
        raise TypeError(f"{error}; if {name!r} is what you want to protect, write @compensate(undo) above it") from None


def _decoratable(target: object) -> bool:
    """Tell whether a decorator may have been meant."""
    return callable(target) or hasattr(type(target), "__get__")
