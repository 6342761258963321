"""Fallback as a strategy object."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from recoup._core import checks, clock, emit, mode
from recoup._core.colour import Colour
from recoup._core.conditions import when
from recoup._core.frozen import Unkeyable
from recoup._core.keys import Keys
from recoup._core.options import same
from recoup._core.store import Entry, Store, shareable
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.fallback import answers, fitting, judging, pumps
from recoup.strategies.fallback.config import FallbackConfig
from recoup.strategies.fallback.sources import listed
from recoup.strategies.fallback.state import Rules, Site, last_word

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from recoup._core.strategy import Place
    from recoup.errors import UnacceptableResult
    from recoup.strategies.fallback.sources import Source

__all__ = ["Fallback"]

_MOST_TOLD = 100  # a bound on memory if somebody makes error types without end

_FACTORIES: dict[Colour, tuple[Callable[..., Any], Callable[..., Any]]] = {
    Colour.SYNC: (pumps.falling_back, answers.settled),
    Colour.ASYNC: (pumps.falling_back_async, answers.settled_async),
    Colour.STREAM: (pumps.falling_back_stream, answers.opened),
    Colour.ASYNC_STREAM: (pumps.falling_back_stream_async, answers.opened_async),
}


class Fallback(Strategy):
    """Answer a failure with the best that is left: an earlier success, another service, a function, a value.

    A decorator (`@fallback_object`) and an executor (`await fallback_object.execute(func)`, `.execute_sync(func)`).
    Several functions may share one object; a remembered success answers only the function and arguments it came from.

    Args:
        config: What answers, and which errors are answered. It has no default: there is nothing to fall back to.
        name: What events and `repr` call it. Default: the name of the first function it decorates.

    Raises:
        ValueError: If the configuration names no source of answers.

    Thread and loop safety: one object serves any number of threads and event loops; no lock is held while your code
    runs.

    >>> lenient = Fallback(FallbackConfig(fallback_value=0, fallback_on_exceptions=[ValueError]))
    >>> lenient.execute_sync(int, "seven")
    0
    """

    kind: ClassVar[str] = "fallback"

    def __init__(self, config: FallbackConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = FallbackConfig()
        checks.instance("config", config, FallbackConfig)
        fitting.check_sources(config)
        super().__init__(name=name, async_callbacks=[each for each, waits in fitting.waits(config).items() if waits])
        self._rules = Rules(config)
        self._sites: WeakKeyDictionary[Site, None] = WeakKeyDictionary()
        lifetime = checks.duration("cache_ttl", config.cache_ttl)
        self._store = Store(config.cache_size, lifetime) if config.use_cache else None
        self._judging = None if config.fallback_on_result is None else judging.Judging(self._judged)
        self._judged_apart = False  # a workflow has layers of its own between the parts of a fallback
        self._complained = False
        self._told: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        config = self.config
        kinds = {
            "cache": config.use_cache,
            "service": config.fallback_service,
            "function": config.fallback_function,
            "value": config.value_given,
        }
        kept = "" if self._store is None else f", {len(self._store)} of {config.cache_size} successes remembered"
        return f"<Fallback {self.name!r}: {', '.join(kind for kind, given in kinds.items() if given)}{kept}>"

    @property
    def config(self) -> FallbackConfig:
        """What answers, and which errors are answered; changed by `reconfigure`."""
        return self._rules.config

    def reconfigure(self, config: FallbackConfig | None = None, /, **changes: Any) -> None:
        """Change what answers, and which errors are answered, while calls are made.

        Write `fallback_object.reconfigure(fallback_value=0)`, which keeps all other fields, or give a whole config. It
        counts for calls that fail from now on; those that have begun to ask somebody go on. Successes that are
        remembered are judged by the new times, and those that are too many go at once.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `FallbackConfig`; `on` for `fallback_on_exceptions`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, changes beside a config, or what does not suit
                a function that is decorated (it has no parameter `service_argument`).
            ValueError: For a value out of range, or if nothing would answer; for `use_cache`, and an async function or
                service where there was none, or the other way round. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> lenient = Fallback(FallbackConfig(fallback_value=0))
        >>> lenient.reconfigure(fallback_value=-1)
        >>> lenient.execute_sync(int, "seven")
        -1
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Forget the successes that are remembered, and what was warned of and logged: that is said again."""
        self.clear()
        self._complained = False
        self._told.clear()

    def _settled(self, config: FallbackConfig) -> None:
        fitting.check_sources(config)
        old, new = fitting.waits(self.config), fitting.waits(config)
        suited = {f"whether {each} is async": (old[each], new[each]) for each in old}
        judges = self.config.fallback_on_result is not None, config.fallback_on_result is not None
        suited["whether there is a fallback_on_result"] = judges
        same(self, use_cache=(self.config.use_cache, config.use_cache), **suited)
        for each in self._sites.keyrefs():  # a list, whatever other threads decorate meanwhile
            site = each()
            if site is not None:
                fitting.check_target(config, site.colour, site.target)

    def _adopt(self, config: FallbackConfig) -> None:
        self._rules = Rules(config)  # the config with them, in one step
        if self._store is not None:
            self._store.resize(lambda: (self.config.cache_size, checks.duration("cache_ttl", self.config.cache_ttl)))

    def clear(self) -> None:
        """Forget the successes that are remembered."""
        if self._store is not None:
            self._store.clear()

    def _pumps(self, place: Place) -> Sequence[Pump]:
        factory, settle = _FACTORIES[place.colour]
        site = Site(place.target, place.colour, self._rules)
        self._sites[site] = None

        def begin(error: Exception) -> tuple[Source, ...]:
            if (mode.active and mode.off()) or not self._answers(error):
                return ()
            return site.plan(self._rules).begin(error)

        at_once = self._at_once if self._judging is None else _not_at_once
        cells = (begin, settle, self._failed, self._used)
        layers = [Pump(factory, cells if place.colour.is_stream else (at_once, *cells))]
        if self._store is not None:
            remembering = pumps.remembering_async if place.colour.is_async else pumps.remembering
            keys = Keys(place.target, None, self._complain)
            layers.append(Pump(remembering, (keys.of, self._recall, partial(self._keep, keys))))
        if self._judging is not None:
            accepting = judging.accepting_async if place.colour.is_async else judging.accepting
            layers.insert(0, Pump(accepting, (partial(judging.spurned, key=id(self)),)))
            layers.extend([] if self._judged_apart else self._judging._pumps(place))
        return layers

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        fitting.check_target(self.config, colour, target)

    def _says(self) -> Sequence[str]:
        config = self.config
        given = {
            f"an earlier success of the same call (up to {config.cache_ttl:g} s old)": config.use_cache,
            "fallback_service": config.fallback_service,
            "fallback_function": config.fallback_function,
            "fallback_value": config.value_given,
        }
        which = "every Exception" if config.fallback_on_exceptions is None else str(when(config.fallback_on_exceptions))
        timeouts = "timeouts too" if config.fallback_on_timeout else "but no timeouts"
        spared = "" if config.skip_on is None else f", never {when(config.skip_on)}"
        judges = [] if config.fallback_on_result is None else ["answers results that fallback_on_result turns down"]
        return [
            f"answers a failure with {', else '.join(source for source, there in given.items() if there)}",
            f"answers {which}, {timeouts}{spared}",
            *judges,
        ]

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - the same in every colour
        """Count the calls of services; functions are taken to answer at once."""
        asked = [
            each
            for each in listed(self.config.fallback_service)
            if callable(each) or self.config.service_argument is not None
        ]
        if not asked:
            return inner
        return Worst(inner.calls + sum(isinstance(each, str) for each in asked), math.inf)

    def _at_once(self, error: Exception) -> Entry | None:
        """Answer quickly, if there is a value to answer with, and nothing else to do or to find out."""
        if mode.active or emit.listeners:
            return None
        return self._rules.at_once.get(type(error))

    def _answers(self, error: Exception) -> bool:
        """Tell whether an error, or a result that was turned down, is one to answer."""
        turned_down = judging.spurned(error, id(self))
        return self._rules.matches(error) if turned_down is None else turned_down.failure is None

    def _judged(self, result: Any) -> UnacceptableResult | None:
        """Turn a result down, or accept it with None."""
        predicate = self.config.fallback_on_result
        if predicate is None or (mode.active and mode.off()):
            return None
        return judging.judged(predicate, id(self), result)

    def _recall(self, key: Hashable | None, error: Exception) -> Entry | None:
        """Look for an earlier success of a call that has failed."""
        store = self._store
        assert store is not None  # noqa: S101 - the pump is only there with a store
        if key is None or (mode.active and mode.off()) or not self._answers(error):
            return None
        try:
            entry = store.fresh(key, clock.monotonic())
        except Unkeyable as problem:
            self._complain(str(problem))
            return None
        if entry is not None:
            self._tell("cache", error)
        return entry

    def _keep(self, keys: Keys, key: tuple[Any, ...] | None, result: object) -> None:
        """Remember a success."""
        store = self._store
        assert store is not None  # noqa: S101 - as above
        if key is None:
            return
        if not shareable(result):
            self._complain(f"a result of type {type(result).__qualname__}, which can be used only once")
            return
        try:
            store.put(key, Entry(result, clock.monotonic()))
        except Unkeyable as problem:
            self._complain(str(problem))
        keys.learn()

    def _failed(self, source: Source, failure: Exception, error: Exception) -> bool | None:
        """Decide about the error of a source: None to raise it, else the next one is asked."""
        if source.last:
            last_word(failure, error)
            return None
        told = (source.kind, type(failure).__qualname__)
        if told not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(told)
            import logging  # noqa: PLC0415 - most programs never get here

            logging.getLogger("recoup").warning(
                "fallback %s of %s failed with %s; the next one is asked, and this is logged only once",
                source.kind,
                self.name,
                told[1],
            )
        return True

    def _used(self, source: Source, error: Exception) -> None:
        self._tell(source.kind, error)

    def _tell(self, kind: str, error: Exception) -> None:
        if emit.listeners:
            from recoup import events  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(events.FallbackUsed(self.name, kind, type(error).__qualname__))

    def _complain(self, problem: str) -> None:
        """Warn, once, about a call that is not remembered."""
        if self._complained:
            return
        self._complained = True
        import warnings  # noqa: PLC0415 - most programs never get here

        warnings.warn(
            f"use_cache does not remember a call of {self.name}: it got {problem} (said only once)",
            RuntimeWarning,
            stacklevel=2,
        )


def _not_at_once(error: Exception) -> None:
    """Answer nothing at once: results that were turned down are told apart first."""
