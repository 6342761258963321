"""The cache as a strategy object and as a decorator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, overload
from weakref import WeakKeyDictionary, WeakSet

from recoup._core import checks, options
from recoup._core.colour import described
from recoup._core.frozen import Unkeyable
from recoup._core.keys import Keys
from recoup._core.strategy import Pump, Strategy
from recoup.strategies.cache import pumps
from recoup.strategies.cache.background import Background
from recoup.strategies.cache.config import CacheConfig
from recoup.strategies.cache.desk import AsyncDesk, PlainDesk
from recoup.strategies.cache.state import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from typing import Unpack

    from recoup._core.colour import Colour
    from recoup._core.functions import Function
    from recoup._core.strategy import Place
    from recoup.strategies.cache.config import CacheOptions
    from recoup.typing import Decorated, Seconds

__all__ = ["Cache", "cached"]

_MOST_TOLD = 100  # a bound on memory if somebody makes error types without end


class Cache(Strategy):
    """Answer a call from an earlier result of the same call; let equal calls at the same time share one.

    A decorator (`@cache`) and an executor (`await cache.execute(func, *args)`, `cache.execute_sync(func, *args)`).
    Several functions may share one object: each has its own results, and `max_size` bounds them together.

    Args:
        config: How long and how much to keep; default `CacheConfig()`.
        name: What events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: one object serves any number of threads and event loops, which also wait for one another's
    calls. A hit takes no lock, and none is held while your code runs.

    >>> cache = Cache(CacheConfig(ttl=60))
    >>> @cache
    ... def load(user_id: int) -> dict[str, int]:
    ...     print("loading")
    ...     return {"id": user_id}
    >>> load(7), load(7)
    loading
    ({'id': 7}, {'id': 7})
    >>> cache.invalidate(7)
    True
    >>> len(cache)
    0
    """

    kind: ClassVar[str] = "cache"

    def __init__(self, config: CacheConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = CacheConfig()
        checks.instance("config", config, CacheConfig)
        super().__init__(name=name)
        self.config = config
        self._shelf = Shelf(config)
        self._background = Background()
        self._keys: WeakKeyDictionary[Keys, None] = WeakKeyDictionary()
        self._awaited: WeakSet[Function] | None = None  # plain functions that return coroutines, once there are any
        self._complained = False
        self._told: set[str] = set()

    def __repr__(self) -> str:
        ttl = "for ever" if self.config.ttl is None else f"for {self.config.ttl:g} s"
        return f"<Cache {self.name!r}: {len(self)} of {self.config.max_size} results, {ttl}>"

    def __len__(self) -> int:
        """Count the results that are kept, expired ones that nobody has asked for included."""
        return len(self._shelf.store)

    def __bool__(self) -> bool:
        """Be true, also when empty."""
        return True

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of one call, of every function that this object decorates.

        A call that is under way still answers those who wait for it already; what it returns is not kept.

        Args:
            args: The call's positional arguments; for a method, the instance comes first.
            kwargs: Its keyword arguments.

        Returns:
            Whether there was a result.

        Thread and loop safety: may be called from any thread at any time.
        """
        found = False
        for each in self._keys.keyrefs():  # a list, whatever other threads decorate meanwhile
            keys = each()
            key = None if keys is None else keys.of(*args, **kwargs)
            if key is not None:
                found = self._forget(key) or found
        return found

    def clear(self) -> None:
        """Forget everything; as for `invalidate`, what is under way is not kept."""
        self._shelf.store.clear()

    def reconfigure(self, config: CacheConfig | None = None, /, **changes: Any) -> None:
        """Change how long and how much is kept, while calls are made.

        Write `cache.reconfigure(ttl=60)`, which keeps all other fields, or give a whole config. Results that are kept
        are judged by the new times from now on, and those that are too many go at once.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `CacheConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range; for another `key`, which would take earlier results for others. Then
                nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> cache = Cache(CacheConfig(ttl=60), name="users")
        >>> cache.reconfigure(ttl=None, max_size=10)
        >>> cache
        <Cache 'users': 0 of 10 results, for ever>
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Forget everything, as `clear()` does, and what was warned of and logged: that is said again.

        >>> cache = Cache()
        >>> cache.execute_sync(int, "7"), len(cache)
        (7, 1)
        >>> cache.reset()
        >>> len(cache)
        0
        """
        self.clear()
        self._complained = False
        self._told.clear()

    def _settled(self, config: CacheConfig) -> None:
        options.same(self, key=(self.config.key, config.key))

    def _adopt(self, config: CacheConfig) -> None:
        self.config = config
        self._shelf.reconfigure(lambda: self.config)

    def _forget(self, key: Hashable) -> bool:
        try:
            return self._shelf.store.forget(key)
        except Unkeyable:
            return False

    def _pumps(self, place: Place) -> Sequence[Pump]:
        keys = Keys(place.target, self.config.key, self._complain)
        self._keys[keys] = None
        kind: type[AsyncDesk | PlainDesk] = AsyncDesk if place.colour.is_async else PlainDesk
        desk = kind(self, keys, place.target)
        factory: Callable[..., Any] = pumps.caching_async if place.colour.is_async else pumps.caching
        return [Pump(factory, (desk.glance, keys.of, desk.look, desk.wait, desk))]

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if colour.is_stream:
            raise TypeError(
                f"{described(target)} is a generator function, whose items can be taken only once: "
                "cache a function that returns a list of them"
            )

    def _says(self) -> Sequence[str]:
        config = self.config
        ttl = "until it is evicted" if config.ttl is None else f"for {config.ttl:g} s"
        says = [f"answers from an earlier result of the same call {ttl}; keeps up to {config.max_size} results"]
        says.append("makes one call for any number of equal calls at the same time")
        if config.cache_if is not None:
            says.append("keeps only results that cache_if accepts")
        if config.stale_while_revalidate:
            says.append(f"answers with an old result for {config.stale_while_revalidate:g} s more, and refreshes it")
        if config.stale_if_error:
            says.append(f"answers with an old result for {config.stale_if_error:g} s more if the call fails")
        if config.negative_ttl is not None:
            says.append(f"raises an error again for {config.negative_ttl:g} s without calling")
        return says

    def _await(self, function: Function) -> None:
        """Remember that a plain function returns coroutines, wherever it is decorated."""
        if self._awaited is None:
            self._awaited = WeakSet()
        self._awaited.add(function)

    def _complain(self, problem: str) -> None:
        """Warn, once, about a call that is not cached."""
        if self._complained:
            return
        self._complained = True
        import warnings  # noqa: PLC0415 - most programs never get here

        warnings.warn(
            f"{self.name} is called without its cache: it got {problem}; leave it out of the arguments, or say with "
            "key=... what identifies a call (said only once)",
            RuntimeWarning,
            stacklevel=2,
        )

    def _lost(self, error_type: str) -> None:
        """Log, once for each type of error, that a refresh in the background failed."""
        if error_type in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(error_type)
        import logging  # noqa: PLC0415 - most programs never get here

        logging.getLogger("recoup").warning(
            "refreshing %s in the background failed with %s; old results answer until they are too old, "
            "and this is logged only once",
            self.name,
            error_type,
        )


@overload
def cached(target: Decorated, /) -> Decorated: ...
@overload
def cached(target: CacheConfig | Cache, /, *, name: str | None = None) -> Cache: ...
@overload
def cached(ttl: Seconds, /, **options: Unpack[CacheOptions]) -> Cache: ...
@overload
def cached(**options: Unpack[CacheOptions]) -> Cache: ...
def cached(target: Any = None, /, **keywords: Any) -> Any:
    """Answer calls from earlier results, and let equal calls at the same time share one.

    Write `@cached`, `@cached(60)`, `@cached(ttl=60, stale_if_error=3600)`, `@cached(config)` or `@cached(cache)`.
    Without configuration: results are kept for 300 seconds, at most 1024 of them.

    Two calls are the same if the function is, and all arguments are equal and of the same types. Twenty callers of a
    key that is not there make one call. The result is handed out as it is: who changes it changes it for everybody.

    Args:
        target: The function (`@cached` alone), the time to live in seconds or as a timedelta, a `CacheConfig`, or a
            `Cache` to share.
        keywords: The fields of `CacheConfig`; `name` is what events call it.

    Returns:
        The decorated function, or a `Cache` that decorates.

    Raises:
        TypeError: For an unknown keyword, or a function that cannot be cached (generators).
        ValueError: For a value out of range.

    >>> @cached(60)
    ... def capital(country: str) -> str:
    ...     return {"France": "Paris"}[country]
    >>> capital("France"), capital(country="France")
    ('Paris', 'Paris')
    """
    if isinstance(target, (int, float, timedelta)):
        if "ttl" in keywords:
            raise TypeError("cached() got ttl twice, by position and by name")
        target, keywords["ttl"] = None, target
    return options.decorating(Cache, CacheConfig, target, keywords)
