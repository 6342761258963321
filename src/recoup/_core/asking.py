"""Conditions with coroutine functions among their predicates, asked in async calls (rule G4).

A condition is settled for one error: its asynchronous predicates are asked, as far as the answer depends on them, and
what comes out is a condition like any other, in which they have become answers. So everything else that is asked of a
condition (which refusals it names, what it says about groups) is written once, for plain ones.
"""

from __future__ import annotations

from recoup._core.conditions import Condition, leaves, meets, peculiar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Settle = Callable[[BaseException], Awaitable[Condition]]

__all__ = ["all_meet", "any_meets", "either", "it", "neither", "together"]


def _answer(verdict: object) -> Condition:
    settled = bool(verdict)
    return Condition(lambda _: settled, "an answer")


async def _settled(condition: Condition, error: BaseException) -> Condition:
    """Give a condition that answers as this one does for an error; its predicates are asked once, and only here."""
    if condition.settle is not None:
        return await condition.settle(error)
    verdict = condition.plain(error)
    return Condition(lambda _: verdict, condition.text, names=condition.names)


def it(predicate: Callable[[BaseException], Awaitable[object]]) -> Settle:
    """Settle an asynchronous predicate."""

    async def settle(error: BaseException) -> Condition:
        return _answer(await predicate(error))

    return settle


def together(one: Condition, other: Condition) -> Settle:
    """Settle `one & other`."""

    async def settle(error: BaseException) -> Condition:
        first = await _settled(one, error)
        return first & await _settled(other, error) if first.plain(error) else _answer(verdict=False)

    return settle


def either(one: Condition, other: Condition) -> Settle:
    """Settle `one | other`."""

    async def settle(error: BaseException) -> Condition:
        first = await _settled(one, error)
        # Of a refusal it counts who names it, and that may be the other one.
        return first if first.plain(error) and not peculiar(error) else first | await _settled(other, error)

    return settle


def neither(one: Condition) -> Settle:
    """Settle `~one`."""

    async def settle(error: BaseException) -> Condition:
        return ~await _settled(one, error)

    return settle


async def all_meet(condition: Condition, error: BaseException, *, refusals: bool = False) -> bool:
    """Do what a test made by `every` does."""
    asked = condition.within(error) if isinstance(error, BaseExceptionGroup) else condition
    if isinstance(asked, bool):
        return asked
    for leaf in leaves(error):
        if not meets(await _settled(asked, leaf), leaf, refusals=refusals):
            return False
    return True


async def any_meets(condition: Condition, error: BaseException, *, refusals: bool = False) -> bool:
    """Do what a test made by `some` does."""
    asked = condition.within(error) if isinstance(error, BaseExceptionGroup) else condition
    if isinstance(asked, bool):
        return asked
    for leaf in leaves(error):
        if meets(await _settled(asked, leaf), leaf, refusals=refusals):
            return True
    return False
