"""A saga's function on an engine, in both colours: the function, its steps, and their undoing when it fails.

What is no failure (`play.failure`) goes through untouched: nothing is undone then, and the engine runs the function
again. That is so for `SagaStuck`, and for whatever ends the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup.sagas import failures
from recoup.sagas.engines.hands import Compensated, GaveUp, StepFailed
from recoup.strategies.compensation import steps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recoup.sagas.engines.play import Play
    from recoup.strategies.compensation.members import Member

__all__ = ["acting", "acting_async", "nesting", "nesting_async", "playing", "playing_async"]


def acting(play: Play, member: Member, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Have the engine run one step; undo it at once if it failed."""
    act = play.begin(member, fn, member.pack(*args, **kwargs))
    try:
        body = play.engine.do(act)
    except StepFailed as failed:
        error = play.failed(act, failed.text)
        if act.owed():
            try:
                play.engine.undo(act.task, failed.text, act.place)
            except GaveUp as why:
                raise play.gave_up(act.task, why) from None
            play.undone(act.task)
        raise error from None
    finally:
        play.ended(act)
    return play.done(act, body)


async def acting_async(play: Play, member: Member, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Do what `acting` does for an async step; others may run beside it."""
    act = play.begin(member, fn, member.pack(*args, **kwargs))
    try:
        body = await play.engine.do(act)
    except StepFailed as failed:
        error = play.failed(act, failed.text)
        if act.owed():
            try:
                await play.engine.undo(act.task, failed.text, act.place)
            except GaveUp as why:
                raise play.gave_up(act.task, why) from None
            play.undone(act.task)
        raise error from None
    finally:
        play.ended(act)
    return play.done(act, body)


def playing(play: Play, function: Callable[[], Any]) -> str:
    """Run a saga's function; undo its steps if it fails.

    Returns:
        The result of the function, as text.

    Raises:
        Compensated: If it failed and is undone.
        SagaStuck: If it cannot go on by itself.
    """
    steps.show(play)
    try:
        return play.result(function())
    except play.failure as error:
        why = failures.dumps(error)
    finally:
        steps.leave(play)
    undoing(play, why)
    raise Compensated(why)


async def playing_async(play: Play, function: Callable[[], Awaitable[Any]]) -> str:
    """Do what `playing` does for an async function."""
    steps.show(play)
    try:
        return play.result(await function())
    except play.failure as error:
        why = failures.dumps(error)
    finally:
        steps.leave(play)
    await undoing_async(play, why)
    raise Compensated(why)


def nesting(play: Play, function: Callable[[], Any]) -> Any:
    """Run the function of an inner saga; undo its steps if it fails, and let the outer one go on with the error."""
    steps.show(play)
    try:
        result = function()
    except play.failure as error:
        steps.leave(play)
        undoing(play, failures.dumps(error))
        raise
    finally:
        steps.leave(play)
    play.completed_inside()
    return result


async def nesting_async(play: Play, function: Callable[[], Awaitable[Any]]) -> Any:
    """Do what `nesting` does for an async function."""
    steps.show(play)
    try:
        result = await function()
    except play.failure as error:
        steps.leave(play)
        await undoing_async(play, failures.dumps(error))
        raise
    finally:
        steps.leave(play)
    play.completed_inside()
    return result


def undoing(play: Play, why: str) -> None:
    """Undo what a saga has done, one step after the other."""
    for task in play.owed(why):
        try:
            play.engine.undo(task, why, None)
        except GaveUp as gave_up:
            raise play.gave_up(task, gave_up) from None
        play.undone(task)


async def undoing_async(play: Play, why: str) -> None:
    """Do what `undoing` does, once the steps that still run beside the one that failed are over."""
    play.fail()
    for each in list(play.underway.values()):
        await each.wait()
    for task in play.owed(why):
        try:
            await play.engine.undo(task, why, None)
        except GaveUp as gave_up:
            raise play.gave_up(task, gave_up) from None
        play.undone(task)
