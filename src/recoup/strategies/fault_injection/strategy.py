"""Fault injection as a strategy object and as a decorator."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, clock, mode
from recoup._core.arguments import Parameters
from recoup._core.colour import Colour, described
from recoup._core.conditions import plainly
from recoup._core.options import decorating, same
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.fault_injection import pumps
from recoup.strategies.fault_injection.acts import AsyncActs, PlainActs
from recoup.strategies.fault_injection.arming import Armed, Armings
from recoup.strategies.fault_injection.config import FaultInjectionConfig
from recoup.strategies.fault_injection.state import Fault, FaultPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Unpack

    from recoup._core.chain import Pending
    from recoup._core.strategy import Place
    from recoup.strategies.fault_injection.config import FaultInjectionOptions

__all__ = ["FaultInjection", "inject_faults"]

_FACTORIES: dict[Colour, Callable[..., Any]] = {
    Colour.SYNC: pumps.injecting,
    Colour.ASYNC: pumps.injecting_async,
    Colour.STREAM: pumps.injecting_stream,
    Colour.ASYNC_STREAM: pumps.injecting_stream_async,
}


class Site:
    """One function that faults are injected into.

    A plain function may return a coroutine all the same. The first call that is hit finds out: what comes before the
    call has happened then, and the asynchronous pass, which takes the coroutine, does the rest (G5).

    Attributes:
        parameters: Its parameters.
        handed: The fault of a call that goes on here after the synchronous pass.
        awaited: Whether the synchronous pass has given a call to the asynchronous one, and so leaves it all of them.
    """

    __slots__ = ("awaited", "handed", "parameters")

    def __init__(self, parameters: Parameters | None) -> None:
        self.parameters = parameters
        self.handed: list[Fault] = []
        self.awaited = False


class FaultInjection(Strategy):
    """Make calls fail, late or answer wrongly on purpose, while it is armed; otherwise it does nothing.

    A decorator (`@faults`, right above the function, so that every other layer meets its faults) and an executor
    (`await faults.execute(func)`, `faults.execute_sync(func)`). `with faults.armed():` arms it for the code in the
    block, `faults.arm()` for everybody.

    Args:
        config: What is done, and to which calls. It has no default: nothing would be done.
        name: What notes, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: one object serves any number of threads and event loops. Calls are numbered exactly; which
    of two calls at the same time is the first is chance.

    >>> faults = FaultInjection(FaultInjectionConfig(error=ConnectionError, schedule=[2]))
    >>> with faults.armed():
    ...     faults.execute_sync(int, "7")
    ...     faults.execute_sync(int, "7")
    Traceback (most recent call last):
    ConnectionError
    recoup: injected by 'fault_injection' into call 2
    """

    kind: ClassVar[str] = "fault_injection"

    def __init__(self, config: FaultInjectionConfig, *, name: str | None = None) -> None:
        checks.instance("config", config, FaultInjectionConfig)
        callbacks = ("run", "change_result")
        super().__init__(
            name=name,
            async_callbacks=[each for each in callbacks if checks.awaitable_callback(getattr(config, each))],
        )
        self._plan = FaultPlan(config)
        self._armings = Armings()

    @property
    def config(self) -> FaultInjectionConfig:
        """What is done, and to which calls; changed by `reconfigure`."""
        return self._plan.config

    def __repr__(self) -> str:
        armed = "armed" if self._armings.here() is not None else "not armed here" if self._armings.open else "not armed"
        return f"<FaultInjection {self.name!r}: {', '.join(self._does())}; {armed}>"

    def armed(self) -> AbstractContextManager[None]:
        """Arm it inside a `with` block.

        The scope is the current context: other threads and tasks are not affected (tasks started inside the block are),
        and a task that outlives the block is not hit any more. Blocks nest; in each, calls are numbered from 1.

        Returns:
            A context manager, good for one `with`.
        """
        return Armed(self._armings)

    def arm(self) -> None:
        """Arm it everywhere, until `disarm()`; calls are numbered from 1. A second call does nothing."""
        self._armings.arm()

    def disarm(self) -> None:
        """End what `arm()` began; a second call does nothing. Blocks of `armed()` go on."""
        self._armings.disarm()

    @property
    def is_armed(self) -> bool:
        """Whether a call made here and now may be hit."""
        return self._armings.here() is not None

    def reconfigure(self, config: FaultInjectionConfig | None = None, /, **changes: Any) -> None:
        """Change what is done, and to which calls, while it is armed.

        Write `faults.reconfigure(rate=0.5)`, which keeps all other fields, or give a whole config. It counts for calls
        that begin from now on; their numbers go on.

        Args:
            config: What is done from now on; `None` for what is done now, with changes.
            changes: Fields of `FaultInjectionConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range; for what depends on the functions that were decorated: an async
                callback where there was none, `after_items`, or `change_result` together with `after_call`. Then
                nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> faults = FaultInjection(FaultInjectionConfig(error=ConnectionError, rate=0.1))
        >>> faults.reconfigure(rate=0.5)
        >>> faults.config.rate
        0.5
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Number calls from 1 again. What is armed stays armed."""
        self._armings.renumber()

    def _settled(self, config: FaultInjectionConfig) -> None:
        old, new = _suited(self.config), _suited(config)
        same(self, **{what: (old[what], new[what]) for what in old})

    def _adopt(self, config: FaultInjectionConfig) -> None:
        self._plan = FaultPlan(config)  # the config with it, in one step

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour = place.colour
        site = Site(Parameters.of(place.target))
        number = place.spent.get(id(self))
        if number is not None:
            site.handed.append(Fault(self.config, number, begun=True))
        acts: PlainActs | AsyncActs = AsyncActs(self) if colour.is_async else PlainActs(self)
        more = (acts.alter, acts.end) if colour.is_stream else (acts.finish, partial(self._hand_over, site))
        return [Pump(_FACTORIES[colour], (self._armings.open, partial(self._judge, site), acts.inflict, *more))]

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if colour.is_stream:
            return
        if self.config.after_items is not None:
            raise TypeError(f"after_items counts what a generator yields, and {described(target)} is none")
        if self.config.after_call and self.config.change_result is not None:
            raise TypeError(f"change_result has no meaning for {described(target)}: with after_call nobody sees it")

    def _says(self) -> Sequence[str]:
        armed = "armed" if self.is_armed else "not armed: every call passes"
        return [f"injects {', '.join(self._does())} into {self._chooses()}", f"is {armed}"]

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - the same in every colour
        delay: Any = self.config.delay
        if delay is None or not self.is_armed:
            return inner
        return Worst(inner.calls, inner.seconds + (math.inf if callable(delay) else delay))

    def _judge(self, site: Site, /, *args: Any, **kwargs: Any) -> Fault | None:
        """Give what is done to a call; None if it is not hit."""
        if site.handed:
            return site.handed.pop()
        arming = self._armings.here()
        if arming is None or site.awaited or (mode.active and mode.off()):
            return None
        plan = self._plan
        predicate = plan.config.predicate
        if predicate is not None:
            if site.parameters is not None:
                args, kwargs = site.parameters.normal(args, kwargs)
            if not plainly("predicate", predicate(*args, **kwargs)):
                return None
        number = arming.number()
        return Fault(plan.config, number) if plan.hits(number, clock.random) else None

    def _hand_over(self, site: Site, fault: Fault, pending: Pending) -> None:
        """Have the asynchronous pass go on with a fault, and leave later calls to it from the beginning."""
        site.awaited = True
        pending.spent[id(self)] = fault.number

    def _does(self) -> list[str]:
        """Name what is done to a call."""
        config = self.config
        does = []
        if config.run is not None:
            does.append(f"a call of {described(config.run)}")
        if config.delay is not None:
            does.append("a delay of its own" if callable(config.delay) else f"a delay of {config.delay:g} s")
        if config.error is not None:
            when = " after the call" if config.after_call else ""
            when = when if config.after_items is None else f" after {config.after_items} items"
            does.append(f"{getattr(config.error, '__qualname__', 'an error')}{when}")
        if config.change_result is not None:
            does.append("a changed result")
        return does

    def _chooses(self) -> str:
        """Say which calls are hit."""
        config = self.config
        which = "every call" if config.rate == 1 else f"{config.rate:.3g} of the calls"
        scheduled = "" if config.schedule is None else " on schedule"
        return f"{which}{scheduled}{'' if config.predicate is None else ' that its predicate picks'}"


def _suited(config: FaultInjectionConfig) -> dict[str, bool]:
    """Give what decides which functions may be decorated."""
    return {
        "whether run is async": checks.awaitable_callback(config.run),
        "whether change_result is async": checks.awaitable_callback(config.change_result),
        "whether there is after_items": config.after_items is not None,
        "whether after_call goes with change_result": config.after_call and config.change_result is not None,
    }


def inject_faults(
    target: FaultInjectionConfig | FaultInjection | None = None, /, **options: Unpack[FaultInjectionOptions]
) -> FaultInjection:
    """Make calls of a function fail, late or answer wrongly on purpose, while that is armed.

    Put it right above the function: faults are for the other layers to meet. It does nothing until it is armed, by
    `with faults.armed():` for the code in the block, or by `faults.arm()` for everybody.

    Args:
        target: A `FaultInjectionConfig`, or a `FaultInjection` to share.
        options: The fields of `FaultInjectionConfig`; `name` is what notes and events call it.

    Returns:
        A `FaultInjection` that decorates, and is armed and disarmed.

    Raises:
        TypeError: For a bare `@inject_faults`, an unknown keyword, or a function that cannot be decorated.
        ValueError: If nothing is to be done, or a value is out of range.

    >>> from recoup import retry
    >>> faults = inject_faults(error=ConnectionError, schedule=[1])
    >>> @retry(max_attempts=2, initial_delay=0)
    ... @faults
    ... def fetch() -> str:
    ...     return "page"
    >>> with faults.armed():
    ...     fetch()
    'page'
    """
    if not isinstance(target, (FaultInjectionConfig, FaultInjection)) and target is not None:
        raise TypeError(
            f"@inject_faults round {described(target)} does not say what to inject: write "
            "@inject_faults(error=...), @inject_faults(delay=...), @inject_faults(run=...) or "
            "@inject_faults(change_result=...)"
        )
    made: FaultInjection = decorating(FaultInjection, FaultInjectionConfig, target, dict(options), bare=False)
    return made
