"""`@saga` functions on Temporal: how they are started, and what callers get. What workers do is `temporal_work`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.worker import Worker

from recoup._core import checks
from recoup.errors import JournalError, RecoveryError, SagaExists, SagaStuck
from recoup.ext.temporal_work import SagaWorkflow, do, undo
from recoup.sagas import failures, values
from recoup.sagas.engines import begin

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from recoup.sagas.functions import SagaFunction
    from recoup.typing import Seconds

__all__ = ["TemporalEngine"]


class TemporalEngine:
    """Run `@saga` functions as Temporal workflows.

    Make it in the loop that the client was connected in; sagas may be called from there, from other threads and from
    other loops. Somebody has to work: `async with engine.worker():`, here or in other processes, where the modules with
    the sagas are imported.

    Args:
        client: A connected `temporalio.client.Client`.
        task_queue: Which workers run the sagas. Default "recoup".
        step_timeout: Seconds (or a timedelta) after which a step is taken for lost and begun again with the same key,
            more than 0. Default one hour.
        heartbeat: Seconds (or a timedelta) after which a worker that says nothing is taken for dead, more than 0: then
            another one begins its steps again. Default 10.0.
        undo_attempts: How often an undo is tried before the saga waits for a person, 1 or more, for steps that say
            nothing themselves (`@compensate(attempts=...)`). Default `None`: until it succeeds.
        undo_delay: Seconds (or a timedelta) between the first two tries, more than 0; each following pause is twice as
            long, 100 times at the most. Default 1.0.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range.
        RuntimeError: If no loop is running.

    A saga with a key is the workflow `name/key`; one without has a random name. It ends as completed, or as failed with
    the type `Compensated` or `Stuck`.
    """

    def __init__(
        self,
        client: Client,
        *,
        task_queue: str = "recoup",
        step_timeout: Seconds = 3600.0,
        heartbeat: Seconds = 10.0,
        undo_attempts: int | None = None,
        undo_delay: Seconds = 1.0,
    ) -> None:
        if undo_attempts is not None:
            checks.count("undo_attempts", undo_attempts)
        self.task_queue = task_queue
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._options: dict[str, Any] = {
            "step_timeout": checks.duration("step_timeout", step_timeout, zero=False),
            "heartbeat": checks.duration("heartbeat", heartbeat, zero=False),
            "undo_attempts": undo_attempts or 0,
            "undo_delay": checks.duration("undo_delay", undo_delay, zero=False),
        }

    def __repr__(self) -> str:
        return f"<TemporalEngine {self.task_queue!r}>"

    def worker(self, **options: Any) -> Worker:
        """Make a worker for sagas, to be entered with `async with`.

        Args:
            options: Of `temporalio.worker.Worker`; `workflows` and `activities` are added to the saga's own.
        """
        options["workflows"] = [SagaWorkflow, *options.get("workflows", ())]
        options["activities"] = [do, undo, *options.get("activities", ())]
        return Worker(self._client, task_queue=self.task_queue, **options)

    def run(self, function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None) -> Any:
        """Run a saga to its end, for a thread that is not the client's loop.

        One with this key that is done already gives what it gave then.

        Raises:
            SagaExists: If there is one with this key that runs, or waits for a person.
            SagaStuck: If it waits for a person.
            JournalError: If Temporal fails, or somebody ended the workflow there.
            RuntimeError: If this thread runs the client's loop, which would have to wait for itself.
            Exception: What the function raised; its steps are undone then.
        """
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                raise _BlockedError(
                    f"synchronous saga {function.name!r} was called in the loop of Temporal's client, which would wait "
                    "for itself: make it an async function, or call it with asyncio.to_thread"
                )
        return asyncio.run_coroutine_threadsafe(self._run(function, args, kwargs, key), self._loop).result()

    async def run_async(
        self, function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
    ) -> Any:
        """Do what `run` does, in any loop. The saga goes on if its caller is cancelled: it belongs to Temporal."""
        coroutine = self._run(function, args, kwargs, key)
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def _run(self, function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None) -> Any:
        saga_id = uuid4().hex
        text = begin.dumps(function, args, kwargs, saga_id=saga_id, **self._options)
        name = saga_id if key is None else f"{quote(function.name, safe='')}/{quote(key, safe='')}"
        try:
            handle = await self._started(function.name, key, name, text)
            return values.loads(await handle.result())
        except WorkflowFailureError as error:
            raise _ended(error, name) from error.cause
        except RPCError as error:
            raise JournalError(journal="Temporal", reason=str(error)) from error

    async def _started(self, name: str, key: str | None, found: str, text: str) -> WorkflowHandle[Any, str]:
        """Start a workflow, unless there is one of this name that was not compensated."""
        again = False
        while True:
            policies = WorkflowIDReusePolicy
            policy = policies.ALLOW_DUPLICATE_FAILED_ONLY if again else policies.REJECT_DUPLICATE
            try:
                return await self._client.start_workflow(
                    "recoup.saga", text, id=found, task_queue=self.task_queue, result_type=str, id_reuse_policy=policy
                )
            except WorkflowAlreadyStartedError:
                handle = self._client.get_workflow_handle(found, result_type=str)
                state = await _state(handle)
                if state == "done":
                    return handle
                if state != "compensated":
                    raise SagaExists(name=name, key=str(key), id=found, state=state) from None
                again = True


async def _state(handle: WorkflowHandle[Any, str]) -> str:
    """Tell what has become of a saga."""
    if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        return "running"
    try:
        await handle.result()
    except WorkflowFailureError as error:
        return "compensated" if getattr(error.cause, "type", "") == "Compensated" else "stuck"
    return "done"


class _BlockedError(RecoveryError):
    """Not a `RuntimeError`, which asyncio raises when there is no loop."""


def _ended(error: WorkflowFailureError, name: str) -> BaseException:
    """Make what a caller gets of a workflow that failed."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "Compensated":
        made = failures.loads(cause.details[0])
        made.add_note(f"recoup: saga {name} was compensated")
        return made
    if isinstance(cause, ApplicationError) and cause.type == "Stuck":
        found, called, reason = cause.details
        return SagaStuck(id=found, name=called, reason=reason)
    return JournalError(journal="Temporal", reason=f"workflow {name} has ended: {cause!r}")
