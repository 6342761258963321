"""Strategy: what every strategy object is."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple, overload

from recoup._core import checks
from recoup._core.colour import Colour, described
from recoup._core.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, ClassVar, Self, TypeVar

    from recoup.typing import Decorated

    T = TypeVar("T")

__all__ = ["Place", "Pump", "Strategy", "Worst"]


class Pump(NamedTuple):
    """A closure factory and what it gets after the function it goes round: `factory(fn, *cells)`."""

    factory: Callable[..., Any]
    cells: tuple[Any, ...] = ()


class Place(NamedTuple):
    """Where in a stack a layer goes.

    Attributes:
        target: The user's own callable, below all layers.
        outer: The layers outside this one in the same stack, outermost first.
        colour: How the composed callable gives its answer.
        spent: What the layers have used up already, by `id` of whatever counts, when an asynchronous pass takes over.
    """

    target: Any
    outer: tuple[Strategy, ...]
    colour: Colour
    spent: Mapping[int, int] = MappingProxyType({})


class Worst(NamedTuple):
    """The worst case of a stack from some layer inwards, for `explain`.

    Attributes:
        calls: Most runs of the user's function for one call; `math.inf` if nothing bounds them.
        seconds: Longest time one call may take; `math.inf` if nothing bounds it.
    """

    calls: float
    seconds: float


class Strategy:
    """One layer of recovery: a decorator, an executor and a place in a stack.

    A strategy object may be put round any number of functions, which then share its state. It serves threads and
    any number of event loops at the same time.

    Args:
        name: What errors, events and `repr` call it, and how `registry` finds it. Default: the qualified name of the
            first function it decorates, and not listed.
        async_callbacks: Names of the callbacks that are asynchronous; they refuse synchronous functions.
    """

    kind: ClassVar[str] = "strategy"

    def __init__(self, *, name: str | None = None, async_callbacks: Sequence[str] = ()) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(f"name must be a non-empty string or None, not {checks.shown(name)}")
        self._given_name = name
        registry._meet(self)
        if name is not None:
            registry._enter(self)
        self._async_callbacks = tuple(async_callbacks)

    @property
    def name(self) -> str:
        """What errors, events and `repr` call this object."""
        return self._given_name or self.kind

    def __call__(self, target: Decorated, /) -> Decorated:
        """Put this layer round a function, method or callable object.

        Args:
            target: A function of any kind, classmethod, staticmethod, partial or callable object; if it already has
                layers of recoup, this one becomes the outermost.

        Returns:
            The same kind of thing, protected: name, signature, types and pickling are kept.

        Raises:
            TypeError: If it cannot be protected; the message says what to do instead.
        """
        from recoup._core.rim import recover  # noqa: PLC0415 - rim composes strategies: an import cycle otherwise

        wrapped: Decorated = recover(target, self)
        if self._given_name is None:
            self._given_name = getattr(target, "__qualname__", None)
        return wrapped

    @overload
    async def execute(self, func: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def execute(self, func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T: ...
    async def execute(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, synchronous or asynchronous, under this strategy.

        Args:
            func: The function; an awaitable that it returns is awaited.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            What it returns, or what this strategy answers instead.

        Raises:
            TypeError: If `func` is a generator function or no callable.
            Exception: What `func` raises, or what this strategy refuses with.
        """
        from recoup._core import chain  # noqa: PLC0415 - chain composes strategies: an import cycle otherwise

        return await chain.composed_async((self,), func)(*args, **kwargs)

    def execute_sync(self, func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a plain function under this strategy; the synchronous twin of `execute`.

        Raises:
            TypeError: If `func` is a coroutine function, returns a coroutine, or an asynchronous callback was given.
        """
        from recoup._core import chain  # noqa: PLC0415 - chain composes strategies: an import cycle otherwise

        result: T = chain.composed_sync((self,), func)(*args, **kwargs)
        return result

    def reconfigure(self, config: Any = None, /, **changes: Any) -> None:
        """Change the configuration while calls are made.

        Write `strategy.reconfigure(field=value)`, which keeps all other fields, or give a whole config. What runs goes
        on under the configuration that it began with, as far as the strategy's own page does not say otherwise.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of the strategy's config; `on` as for its decorator.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range, and for what is settled when the object is made. Then nothing was
                changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.
        """
        from recoup._core import options  # noqa: PLC0415 - options knows strategies: an import cycle otherwise

        config = options.changed(self, config, changes)
        self._settled(config)
        self._adopt(config)

    def reset(self) -> None:
        """Forget what was counted, learned and kept, as if the object had just been made.

        The configuration stays. What runs goes on and gives back what it holds; what comes of it is not counted, as far
        as the strategy's own page does not say otherwise.

        Any thread or task may call this at any time.
        """

    def _settled(self, config: Any) -> None:
        """Raise ValueError for a config that this object cannot change to, because of what it was made for."""

    def _adopt(self, config: Any) -> None:  # noqa: ARG002 - for subclasses
        """Take over a config that `_settled` has nothing against; nothing in here may fail."""
        raise TypeError(f"{self!r} cannot be reconfigured")

    def __copy__(self) -> Self:
        return self  # what makes a strategy is the state it shares; a copy would protect nobody

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _pumps(self, place: Place) -> Sequence[Pump]:
        """Give this layer's pumps for a place, outermost first."""
        raise NotImplementedError

    def _bridge(self, place: Place) -> Pump | None:  # noqa: ARG002 - for subclasses
        """Give a pump whose factory takes a synchronous function and returns an asynchronous one.

        Asked only when a plain function is executed asynchronously; with a bridge, the layers inside this one are
        composed synchronously, and the bridge's pump takes the place of `_pumps`.
        """
        return None

    def _says(self) -> Sequence[str]:
        """Say what this layer does, with which errors, in a few short sentences, for `explain`."""
        return ()

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - for subclasses
        """Work out the worst case of this layer from that of what is inside it, for `explain`."""
        return inner

    def _members(self) -> Sequence[Strategy]:
        """Give the layers this one stands for, outermost first; itself unless it is a whole workflow."""
        return (self,)

    def _accept(self, colour: Colour, target: object) -> None:
        """Raise TypeError for a function that this layer cannot protect."""
        if self._async_callbacks and not colour.is_async:
            listed = " and ".join(self._async_callbacks)
            are = "is an async function" if len(self._async_callbacks) == 1 else "are async functions"
            raise TypeError(
                f"{listed} of {self.kind} {are}, but {described(target)} is synchronous and cannot await: "
                "give a plain function, or make the decorated function async"
            )
