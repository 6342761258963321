"""Results that will not do are failures, as far as a fallback goes (F1): its pumps for them, and what they ask.

accepting       gives a result back that was turned down and that nobody had a better answer for
falling_back, remembering
judging     raises a result that is turned down
"""

from __future__ import annotations

from typing import NamedTuple

from recoup._core.conditions import plainly
from recoup._core.strategy import Pump, Strategy
from recoup.errors import UnacceptableResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any, ClassVar

    from recoup._core.strategy import Place

    Judge = Callable[[Any], UnacceptableResult | None]

__all__ = ["Judging", "Spurned", "accepting", "accepting_async", "judged", "judging", "judging_async", "spurned"]


class Judging(Strategy):
    """The innermost part of a fallback that judges results, where something stands between it and the others.

    Args:
        judge: Turns a result down, or accepts it with None.
    """

    kind: ClassVar[str] = "watch"

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def _pumps(self, place: Place) -> Sequence[Pump]:
        return [Pump(judging_async if place.colour.is_async else judging, (self._judge,))]


class Spurned(NamedTuple):
    """A result that was turned down, to be given back all the same.

    Attributes:
        result: It.
        failure: What the predicate raised instead of a verdict.
    """

    result: Any
    failure: Exception | None

    def take(self) -> Any:
        """Give it, or raise."""
        if self.failure is None:
            return self.result
        try:
            raise self.failure
        finally:
            del self  # the traceback holds this frame (G11)


def judged(predicate: Callable[[Any], bool], key: int, result: Any) -> UnacceptableResult | None:
    """Turn a result down, or accept it with None; an error of the predicate is kept for `Spurned` to raise.

    Args:
        predicate: Of the user.
        key: Of the fallback: one that a function raises by itself is an error like any other.
        result: The result.
    """
    failure = None
    try:
        if not plainly("fallback_on_result", predicate(result)):
            return None
    except Exception as error:  # noqa: BLE001 - it comes out where nobody takes it for a failure of the function
        failure = error
    rejection = UnacceptableResult(result)
    rejection.__dict__["_judge"], rejection.__dict__["_failure"] = key, failure
    return rejection


def spurned(error: Exception, key: int) -> Spurned | None:
    """Give the result that a fallback turned down; None for any other error."""
    if not isinstance(error, UnacceptableResult) or error.__dict__.get("_judge") != key:
        return None
    return Spurned(error.result, error.__dict__["_failure"])


def judging(fn: Callable[..., Any], judge: Judge) -> Callable[..., Any]:
    """Call a function, and raise a result that is turned down."""

    def judging(*args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        rejection = judge(result)
        if rejection is None:
            return result
        try:
            raise rejection
        finally:
            rejection = None

    return judging


def judging_async(fn: Callable[..., Awaitable[Any]], judge: Judge) -> Callable[..., Awaitable[Any]]:
    """Call an async function, and raise a result that is turned down."""

    async def judging(*args: Any, **kwargs: Any) -> Any:
        result = await fn(*args, **kwargs)
        rejection = judge(result)
        if rejection is None:
            return result
        try:
            raise rejection
        finally:
            rejection = None

    return judging


def accepting(fn: Callable[..., Any], last: Callable[[Exception], Spurned | None]) -> Callable[..., Any]:
    """Call what falls back, and give a result back that nobody had a better answer for."""

    def accepting(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except UnacceptableResult as error:
            answer = last(error)
            if answer is None:
                raise
        return answer.take()

    return accepting


def accepting_async(
    fn: Callable[..., Awaitable[Any]], last: Callable[[Exception], Spurned | None]
) -> Callable[..., Awaitable[Any]]:
    """Call what falls back, and give a result back that nobody had a better answer for."""

    async def accepting(*args: Any, **kwargs: Any) -> Any:
        try:
            return await fn(*args, **kwargs)
        except UnacceptableResult as error:
            answer = last(error)
            if answer is None:
                raise
        return answer.take()

    return accepting
