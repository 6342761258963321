"""`@compensate`: from what a user writes to a `Compensation`."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from recoup._core.options import decorating
from recoup.strategies.compensation import actions
from recoup.strategies.compensation.config import CompensationConfig
from recoup.strategies.compensation.strategy import Compensation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from recoup.strategies.compensation.config import CompensateOptions

__all__ = ["compensate"]


def compensate(
    target: Callable[..., object] | Sequence[Callable[..., object]] | CompensationConfig | Compensation | None = None,
    /,
    *,
    attempts: int | None = None,
    **options: Unpack[CompensateOptions],
) -> Compensation:
    """Undo what a function has done when it fails, and when a later step of the same `saga()` fails.

    Args:
        target: The action that undoes it, or a list of actions, a `CompensationConfig`, or a `Compensation` to share.
            An action that has a required positional parameter is called with a mapping: the call's arguments by name
            (what is in a mapping argument too), `args`, `kwargs`, `error`, and `result` if the call had completed.
            `None` with `pivot=True` for a step that cannot be undone.
        attempts: Short for `compensation_attempts`. In a durable saga a person is asked when so many tries have failed;
            by default it is tried again and again, for a day.
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
    if attempts is not None:
        options["compensation_attempts"] = attempts
    if target is None and options.get("pivot"):
        options.setdefault("compensation_actions", [])
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
