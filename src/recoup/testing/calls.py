"""The calls that a test has watched, with arguments and outcomes (rule G10: here they were asked for)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from recoup._core import checks

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Call", "Calls"]


class Call:
    """One call of a function that faults were injected into.

    Attributes:
        number: Which one it is, from 1, in the order in which calls began.
        key: What it is filed under; `None` without a key.
        args: Its positional arguments, without the object or class of a method. Arguments given by name stand here too
            if they can be given by position, and so do defaults: the same call is always written the same way.
        kwargs: Its other arguments.
        injected: What was done to it, in words: "fail(ConnectionError)"; "" for nothing.
        reached: Whether it reached the function.
        done: Whether it is over.
        result: What it returned; `None` as long as it has not.
        error: What it raised; `None` if nothing.
        at: When it began, as told by recoup's clock.
    """

    __slots__ = ("args", "at", "done", "error", "injected", "key", "kwargs", "name", "number", "reached", "result")

    def __init__(
        self, name: str, number: int, key: object, args: tuple[Any, ...], kwargs: dict[str, Any], at: float
    ) -> None:
        self.name = name
        self.number = number
        self.key = key
        self.args = args
        self.kwargs = kwargs
        self.injected = ""
        self.at = at
        self.reached = False
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<call {self}>"

    def __str__(self) -> str:
        given = [checks.shown(each) for each in self.args]
        given += [f"{name}={checks.shown(each)}" for name, each in self.kwargs.items()]
        if not self.done:
            outcome = "not over"
        elif self.error is not None:
            outcome = f"raised {type(self.error).__qualname__}"
        else:
            outcome = f"returned {checks.shown(self.result)}"
        injected = f", injected: {self.injected}" if self.injected else ""
        return f"{self.number}: {self.name}({', '.join(given)}) {outcome}{injected}"


class Calls(Sequence[Call]):
    """The calls of a function that faults are injected into, in the order in which they began.

    A sequence: `len(calls)`, `calls[0]`, `for call in calls`. It grows while calls are made, from any thread.

    Example:
        >>> from recoup.testing import answer, faulty
        >>> double, calls = faulty(lambda number: 2 * number, answer(0, on=2))
        >>> double(1), double(2)
        (2, 0)
        >>> print(calls)
        2 calls of <lambda>:
          1: <lambda>(1) returned 2
          2: <lambda>(2) returned 0, injected: answer(0)
        >>> calls[0].args, [call.number for call in calls.injected]
        ((1,), [2])
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._all: list[Call] = []

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        return self._all[index]

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        made = self._all.copy()
        head = f"{len(made)} call{'' if len(made) == 1 else 's'} of {self._name}"
        return head + (":" if made else "") + "".join(f"\n  {call}" for call in made)

    @property
    def injected(self) -> list[Call]:
        """Give the calls that something was done to."""
        return [call for call in self._all.copy() if call.injected]

    @property
    def reached(self) -> list[Call]:
        """Give the calls that reached the function."""
        return [call for call in self._all.copy() if call.reached]

    def of(self, key: object) -> list[Call]:
        """Give the calls of one key."""
        return [call for call in self._all.copy() if call.key == key]

    def _add(self, call: Call) -> None:
        self._all.append(call)
