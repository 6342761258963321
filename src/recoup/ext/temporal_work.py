"""What a Temporal worker does for sagas: one workflow for all of them, one activity that does steps, one that undoes.

    workflow "recoup.saga"                     the function of a saga, sync or async
        activity "recoup.do", id "2 do shop:charge"       the effect, and its result
        activity "recoup.undo", id "2 undo shop:charge"   tried again by Temporal until it succeeds

What is scheduled is written down before it happens, arguments and all: that is INTENT. Activities run where a worker
has room, so each finds its function by its name.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory, CancelledError

from recoup.errors import RecoveryError, SagaStuck
from recoup.sagas import failures
from recoup.sagas.engines import begin, hands, pumps
from recoup.sagas.engines.lockstep import Lockstep
from recoup.sagas.engines.play import Play

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from recoup.sagas.engines.hands import Task
    from recoup.sagas.engines.play import Act

__all__ = ["SagaWorkflow", "do", "undo"]

_FAILURE = (Exception, asyncio.CancelledError)  # Temporal cancels a workflow by cancelling its coroutine


@workflow.defn(name="recoup.saga", sandboxed=False)
class SagaWorkflow:
    """The workflow of every saga: it runs the saga's function, whose steps are activities."""

    @workflow.run
    async def run(self, text: str) -> str:
        """Run a saga; `text` says which and with what."""
        found = begin.loads(text)  # if it is not found, Temporal asks again, until there is a worker that has it
        try:
            if found.is_async:
                play = Play(found.name, found.told["saga_id"], Acts(found.told), waits=True, failure=_FAILURE)
                return await pumps.playing_async(play, found.body)
            return str(await _in_lockstep(found))
        except hands.Compensated as done:
            kind, said = failures.named(done.text)
            raise ApplicationError(f"{kind}: {said}", done.text, type="Compensated", non_retryable=True) from None
        except SagaStuck as stuck:
            details = (stuck.id, stuck.name, stuck.reason)
            raise ApplicationError(stuck.reason, *details, type="Stuck", non_retryable=True) from None


async def _in_lockstep(found: begin.Begin) -> Any:
    """Run a synchronous function, which waits in a thread of its own."""

    def playing() -> str:
        acts = LockedActs(Acts(found.told), lockstep)
        play = Play(found.name, found.told["saga_id"], acts, waits=False, failure=_FAILURE)
        return pumps.playing(play, found.body)

    lockstep = Lockstep(playing)
    return await lockstep.drive(_called)


async def _called(request: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return await request()


class Acts:
    """Carries out the steps of a saga, as activities."""

    def __init__(self, start: dict[str, Any]) -> None:
        self._start = start

    def reserve(self) -> None:
        """Keep nothing: Temporal counts by itself."""

    async def do(self, act: Act) -> str:
        """Run a step, or remember it."""
        entry = act.task.entry
        if "args" not in entry.body:
            raise RecoveryError(
                f"{entry.step} has save_state=False, but Temporal has to hand its arguments to a worker"
            )
        try:
            text = await self._execute("recoup.do", act.task.dumps(), f"{entry.n} do {entry.step}", RetryPolicy())
        except ApplicationError as error:
            if error.type != "StepFailed":
                raise RecoveryError(f"{entry.step} was not done: {error}") from error
            failed, body = error.details
            act.recorded(body)
            raise hands.StepFailed(failed) from None
        done, body = json.loads(text)
        act.recorded(body)
        return str(done)

    async def undo(self, task: Task, error: str, place: object) -> None:  # noqa: ARG002 - for DBOS
        """Undo a step, or remember that it is undone."""
        entry, delay = task.entry, timedelta(seconds=self._start["undo_delay"])
        policy = RetryPolicy(
            initial_interval=delay, maximum_attempts=entry.body.get("attempts", self._start["undo_attempts"])
        )
        text = json.dumps([task.dumps(), error])
        try:
            await self._execute("recoup.undo", text, f"{entry.n} undo {entry.step}", policy)
        except ApplicationError as failed:
            raise hands.GaveUp(str(failed)) from failed

    async def _execute(self, name: str, text: str, called: str, policy: RetryPolicy) -> str:
        """Run an activity; raise what it raised, without Temporal's wrapping."""
        try:
            done: str = await workflow.execute_activity(
                name,
                text,
                result_type=str,
                activity_id=called,
                start_to_close_timeout=timedelta(seconds=self._start["step_timeout"]),
                heartbeat_timeout=timedelta(seconds=self._start["heartbeat"]),
                retry_policy=policy,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as error:
            if isinstance(error.cause, CancelledError):
                raise asyncio.CancelledError from None
            if isinstance(error.cause, ApplicationError):
                raise error.cause from None
            raise RecoveryError(f"{called}: {error.cause}") from error
        return done


class LockedActs:
    """Carries out the steps of a synchronous saga: each is asked of the coroutine that drives it."""

    def __init__(self, acts: Acts, lockstep: Lockstep) -> None:
        self._acts = acts
        self._lockstep = lockstep

    def reserve(self) -> None:
        """Keep nothing."""

    def do(self, act: Act) -> Any:
        """Run a step, or remember it."""
        return self._lockstep.ask(partial(self._acts.do, act))

    def undo(self, task: Task, error: str, place: object) -> Any:
        """Undo a step, or remember that it is undone."""
        return self._lockstep.ask(partial(self._acts.undo, task, error, place))


# A step that fails is an everyday thing: no warning with a traceback.
_FAILED: Any = {"type": "StepFailed", "non_retryable": True, "category": ApplicationErrorCategory.BENIGN}
_threads = ThreadPoolExecutor(max_workers=100, thread_name_prefix="recoup step")  # Temporal's own limit is 100 too


@activity.defn(name="recoup.do")
async def do(text: str) -> str:
    """Do a step; gives the body of DONE, and the body of INTENT that it was done for."""
    task = hands.Task.loads(text)
    part = hands.part(task)
    body = json.dumps(task.entry.body)
    try:
        if part.is_async:
            done = await _beating(hands.do_async(task, part.call))
        else:
            done = await _beating(_in_thread(partial(hands.do, task, part.call)))
    except hands.StepFailed as failed:
        kind, said = failures.named(failed.text)
        raise ApplicationError(f"{kind}: {said}", failed.text, body, **_FAILED) from None
    return json.dumps([done, body])


@activity.defn(name="recoup.undo")
async def undo(text: str) -> str:
    """Undo a step."""
    found, error = json.loads(text)
    await _beating(hands.undo_async(hands.Task.loads(found), json.loads(error)))
    return ""


async def _in_thread(call: Callable[[], str]) -> str:
    """Call something in a thread; what has begun there is waited for, whatever is cancelled here."""
    future = asyncio.get_running_loop().run_in_executor(_threads, copy_context().run, call)
    cancelled = False
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            cancelled = True
        except BaseException:  # noqa: BLE001 - raised below
            break
    if cancelled and future.exception() is not None:
        raise asyncio.CancelledError
    return future.result()


async def _beating(work: Coroutine[Any, Any, Any]) -> Any:
    """Await a step, and tell Temporal meanwhile that its worker lives."""
    timeout = activity.info().heartbeat_timeout
    seconds = 1.0 if timeout is None else timeout.total_seconds() / 3

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(seconds)

    beats = asyncio.ensure_future(beat())
    try:
        return await work
    finally:
        beats.cancel()
