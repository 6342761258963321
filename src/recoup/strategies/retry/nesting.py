"""Retries round retries: what an inner one gave up on, an outer one repeats, and the attempts multiply (rule R7).

A retry that gives up leaves a mark on the error; whoever retries it further out finds the mark, on the error itself or
on what it was raised from. Nothing ambient is needed, and a healthy call pays nothing. A mark is plain data, so that
an error pickles as before.
"""

from __future__ import annotations

from recoup._core import checks, conditions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Mark = tuple[int, str, int]  # key of the plan, name of the retry, its attempts

__all__ = ["checked", "found", "hand_on", "mark", "may_be_marked", "once", "set_nested_retries"]

_KEY = "__recoup_gave_up__"
_FAR = 10  # links of a chain of causes; longer ones are loops more often


once = False
"""Whether retries that do not say so themselves pass on what one further in has given up on."""


def set_nested_retries(nested: Literal["allow", "once"]) -> None:
    """Say what retries do with an error that a retry further in has given up on, unless they say `nested` themselves.

    This holds for the whole process from now on, for functions that are decorated already as well. Call it where the
    program starts; libraries should leave it to programs. Processes that are spawned begin with "allow" again.

    Args:
        nested: "allow" (retry it, so that attempts multiply; an event says so) or "once" (pass it on with a note).
            "allow" holds until this is called.

    Raises:
        ValueError: If it is neither.

    Any thread or task may call this at any time.

    >>> set_nested_retries("once")
    >>> set_nested_retries("allow")
    """
    global once  # noqa: PLW0603 - the default of the process
    once = checked("nested", nested) == "once"


def checked(argument: str, nested: object) -> object:
    """Check what says whether attempts multiply."""
    if nested not in ("allow", "once"):
        raise ValueError(f"{argument} must be 'allow' or 'once', not {checks.shown(nested)}")
    return nested


def mark(error: BaseException, key: int, name: str, attempts: int) -> None:
    """Say on an error that a retry has given up on it."""
    error.__dict__[_KEY] = (key, name, attempts)  # not by setattr, which a class of the user's may forbid


def mark_first(error: BaseException, key: int, name: str, attempts: int, text: str) -> None:
    """Do what `mark` does, and put a note on the error, which has no attributes and whose class forbids none."""
    facts = error.__dict__
    facts["__notes__"] = [text]
    facts[_KEY] = (key, name, attempts)


def may_be_marked(error: BaseException) -> bool:
    """Tell whether it is worth looking for a mark: nearly no error is a group, marked, or raised from another."""
    return (
        error.__cause__ is not None or isinstance(error, BaseExceptionGroup) or getattr(error, _KEY, None) is not None
    )


def hand_on(error: BaseException | None, other: BaseException) -> None:
    """Put the mark of an error on another that stands for it."""
    if error is not None and _KEY in error.__dict__:
        other.__dict__[_KEY] = error.__dict__[_KEY]


def found(error: BaseException, key: int) -> Mark | None:
    """Find out who gave up on an error before.

    Args:
        error: The error. Only what it was raised from on purpose (`raise ... from`) counts with it: an error that was
            merely being handled at the time may have nothing to do with it.
        key: Of the plan that asks; its own marks do not count (a later call may raise the same error object again).

    Returns:
        The mark; `None` if there is none.
    """
    link: BaseException | None = error
    for _ in range(_FAR):
        if link is None:
            return None
        for leaf in (link, *conditions.leaves(link)) if isinstance(link, BaseExceptionGroup) else (link,):
            given: Mark | None = leaf.__dict__.get(_KEY)
            if given is not None and given[0] != key:
                return given
        link = link.__cause__
    return None
