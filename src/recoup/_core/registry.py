"""Every named strategy object can be found again, for a console, a health page or a test.

Objects are held weakly: being listed keeps none alive. There is no lock, because a child of a fork could wait for one
for ever: adding, taking out and copying a dictionary are each one step under the GIL.
"""

from __future__ import annotations

from itertools import count
from typing import overload
from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from recoup._core.strategy import Strategy

    S = TypeVar("S", bound=Strategy)

__all__ = ["Registry", "registry"]


class Registry:
    """The strategy objects of this process that were given a name; use the one `registry`.

    A name is given by `name=`. An object that only takes its name from the function that it decorates is not listed,
    and the layers of a named workflow are, as "orders.retry". Names need not be unique.
    Any thread and any event loop may ask. A forked child starts with what its parent had.

    >>> from recoup import CircuitBreaker, registry
    >>> bank = CircuitBreaker(name="bank")
    >>> registry.find("bank", CircuitBreaker) is bank
    True
    >>> registry.all(CircuitBreaker)
    (<CircuitBreaker 'bank' closed>,)
    """

    def __init__(self) -> None:
        self._listed: dict[int, ref[Strategy]] = {}
        self._watched: dict[int, ref[Strategy]] | None = None
        self._numbers = count()

    def __repr__(self) -> str:
        return "recoup.registry"

    @overload
    def find(self, name: str, kind: None = None, /) -> Strategy: ...
    @overload
    def find(self, name: str, kind: type[S], /) -> S: ...
    def find(self, name: str, kind: Any = None, /) -> Any:
        """Find the one strategy object of a name.

        Args:
            name: The name it was given.
            kind: Its class, to choose among objects of several kinds that share a name; default: any.

        Returns:
            The object, typed as its class if `kind` is given.

        Raises:
            LookupError: If none is called that, or more than one; the message names what there is.
        """
        found = [each for each in self.all(kind) if each.name == name]
        if len(found) == 1:
            return found[0]
        what = "strategy object" if kind is None else kind.__name__
        if found:
            listed = ", ".join(repr(each) for each in found)
            raise LookupError(
                f"{len(found)} strategy objects are called {name!r}: {listed}; say which kind, or use all()"
            )
        from difflib import get_close_matches  # noqa: PLC0415 - only on the way to an error

        near = get_close_matches(name, [each.name for each in self.all(kind)], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"no {what} is called {name!r}{hint}")

    @overload
    def all(self, kind: None = None, /) -> tuple[Strategy, ...]: ...
    @overload
    def all(self, kind: type[S], /) -> tuple[S, ...]: ...
    def all(self, kind: Any = None, /) -> Any:
        """List the named strategy objects that are alive.

        Args:
            kind: Only those of this class; default: all.

        Returns:
            The objects in the order of their names; of one name, the oldest first.
        """
        alive = [strategy for each in list(self._listed.values()) if (strategy := each()) is not None]
        chosen = alive if kind is None else [each for each in alive if isinstance(each, kind)]
        return tuple(sorted(chosen, key=lambda strategy: strategy.name))

    def _meet(self, strategy: Strategy) -> None:
        """Take note of a new object, named or not, while somebody has asked for that: the plugin for tests."""
        watched = self._watched
        if watched is not None:
            number = next(self._numbers)
            watched[number] = ref(strategy, lambda _: watched.pop(number, None))

    def _enter(self, strategy: Strategy) -> None:
        """List an object for as long as it lives."""
        number = next(self._numbers)
        listed = self._listed
        listed[number] = ref(strategy, lambda _: listed.pop(number, None))


registry = Registry()
