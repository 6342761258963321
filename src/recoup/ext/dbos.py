"""`@saga` functions on DBOS: its database remembers the steps, its executors run again what a crash has interrupted.

    workflow "recoup.saga"         the function of a synchronous saga
    workflow "recoup.saga_async"   the function of an async one
        step "2 intend shop:charge"   what INTENT says: DBOS by itself writes nothing down before a step
        step "2 do shop:charge"       the effect, and its result
        step "2 undo shop:charge"     tried again by DBOS until it succeeds or has had its tries

Texts go through DBOS, and errors that hold texts: nothing of the user's is pickled.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from dbos import DBOS, SetWorkflowID
from dbos import error as errors

from recoup._core import checks
from recoup.errors import JournalError, RecoveryError, SagaExists, SagaStuck
from recoup.ext.dbos_steps import AsyncSteps, Interrupted, Steps
from recoup.sagas import failures, values
from recoup.sagas.engines import begin, hands, pumps
from recoup.sagas.engines.play import Play

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from recoup.sagas.functions import SagaFunction
    from recoup.typing import Seconds

__all__ = ["DBOSEngine"]

_NAME, _NAME_ASYNC = "recoup.saga", "recoup.saga_async"
_MOST_TRIES = 10


class Stuck(RecoveryError):  # noqa: N818 - says what has become of it
    """A saga that waits for a person, as the error of its workflow.

    Args:
        saga: Its identity, what it is called, and why.
    """

    def __init__(self, *saga: str) -> None:
        super().__init__(*saga)

    def __str__(self) -> str:
        return str(self.again())

    def again(self) -> SagaStuck:
        """Make the error that the caller gets."""
        found, name, reason = self.args
        return SagaStuck(id=found, name=name, reason=reason)


class DBOSEngine:
    """Run `@saga` functions as DBOS workflows.

    Make it before `DBOS.launch()`: DBOS recovers only workflows that it knows by then, so the modules with sagas have
    to be imported by then too.

    Args:
        undo_attempts: How often an undo is tried before the saga waits for a person, 1 or more, for steps that say
            nothing themselves (`@compensate(attempts=...)`). Default 10.
        undo_delay: Seconds (or a timedelta) between the first two tries, more than 0; each following pause is twice as
            long. Default 1.0.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range.

    Thread and loop safety: one engine serves any number of threads and asyncio loops. Trio cannot await DBOS.

    A saga's workflow has the saga's identity as its own: `name/key`, or a random one. It ends as SUCCESS, or as ERROR
    with `Compensated` or `Stuck`.
    """

    def __init__(self, *, undo_attempts: int = _MOST_TRIES, undo_delay: Seconds = 1.0) -> None:
        self.undo_attempts = checks.count("undo_attempts", undo_attempts)
        self.undo_delay: float = checks.duration("undo_delay", undo_delay, zero=False)
        self._workflow = DBOS.workflow(name=_NAME)(self._playing())
        self._workflow_async = DBOS.workflow(name=_NAME_ASYNC)(self._playing_async())

    def __repr__(self) -> str:
        return f"<DBOSEngine undo_attempts={self.undo_attempts}>"

    def run(self, function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None) -> Any:
        """Run a saga to its end; one with this key that is done already gives what it gave then.

        Raises:
            SagaExists: If there is one with this key that runs, or waits for a person.
            SagaStuck: If it waits for a person.
            JournalError: If DBOS fails.
            Exception: What the function raised; its steps are undone then.
        """
        text = begin.dumps(function, args, kwargs)
        names = _ids(function.name, key)
        while True:
            found = next(names)
            try:
                with SetWorkflowID(found, workflow_id_reuse_policy="reject"):
                    handle = DBOS.start_workflow(self._workflow, text)
            except errors.DBOSWorkflowIDInUseError:
                done = _done(function.name, key, found, DBOS.get_workflow_status(found))
                if done is not None:
                    return values.loads(done)
            else:
                with _answering(found):
                    return values.loads(handle.get_result())

    async def run_async(
        self, function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
    ) -> Any:
        """Do what `run` does for an async saga. It goes on if its caller is cancelled: it belongs to DBOS."""
        text = begin.dumps(function, args, kwargs)
        names = _ids(function.name, key)
        while True:
            found = next(names)
            try:
                with SetWorkflowID(found, workflow_id_reuse_policy="reject"):
                    handle = await DBOS.start_workflow_async(self._workflow_async, text)
            except errors.DBOSWorkflowIDInUseError:
                done = _done(function.name, key, found, await DBOS.get_workflow_status_async(found))
                if done is not None:
                    return values.loads(done)
            else:
                with _answering(found):
                    return values.loads(await handle.get_result())

    def stuck(self) -> list[SagaStuck]:
        """List the sagas that wait for a person: `id`, `name` and `reason` of each. Blocks; not for event loops."""
        ended = DBOS.list_workflows(status="ERROR", name=[_NAME, _NAME_ASYNC], load_input=False)
        return [each.error.again() for each in ended if isinstance(each.error, Stuck)]

    def retry(self, saga_id: str) -> None:
        """Have a saga that waits for a person go on from where it stopped. Blocks; not for event loops.

        Args:
            saga_id: Its identity, which is its workflow's.

        Raises:
            LookupError: If there is no such saga, or it is not stuck.
        """
        status = DBOS.get_workflow_status(saga_id)
        if status is None or not isinstance(status.error, Stuck):
            raise LookupError(f"no stuck saga is called {saga_id!r}")
        failed = [each["function_id"] for each in DBOS.list_workflow_steps(saga_id) if each["error"] is not None]
        DBOS.rewind_workflow(saga_id, start_step=max(failed, default=1))

    def _playing(self) -> Callable[[str], str]:
        def saga(text: str) -> str:
            found = _begun(text)
            play = Play(found.name, str(DBOS.workflow_id), Steps(self.undo_attempts, self.undo_delay), waits=False)
            with _ending(play):
                return pumps.playing(play, found.body)

        return saga

    def _playing_async(self) -> Callable[[str], Any]:
        async def saga_async(text: str) -> str:
            found = _begun(text)
            play = Play(found.name, str(DBOS.workflow_id), AsyncSteps(self.undo_attempts, self.undo_delay), waits=True)
            with _ending(play):
                return await pumps.playing_async(play, found.body)

        return saga_async


def _begun(text: str) -> begin.Begin:
    """Find the function of a saga.

    Raises:
        Stuck: If it is not found.
    """
    try:
        return begin.loads(text)
    except LookupError as error:
        raise Stuck(str(DBOS.workflow_id), str(json.loads(text)["name"]), str(error)) from None


def _ids(name: str, key: str | None) -> Iterator[str]:
    """Give the identities that a saga may have: with the same key another one for each time that it was undone."""
    stem = "" if key is None else f"{quote(name, safe='')}/{quote(key, safe='')}"
    times = 1
    while True:
        yield uuid4().hex if key is None else stem if times == 1 else f"{stem}/{times}"
        times += 1


def _done(name: str, key: str | None, found: str, status: Any) -> str | None:
    """Give what the saga with this identity gave; `None` if it was undone, and the next identity may be free.

    Raises:
        SagaExists: If it is neither.
    """
    if status.status == "SUCCESS":
        return str(status.output)
    if isinstance(status.error, hands.Compensated):
        return None
    state = "stuck" if isinstance(status.error, Stuck) else "running"
    raise SagaExists(name=name, key=str(key), id=found, state=state)


@contextmanager
def _ending(play: Play) -> Generator[None]:
    try:
        yield
    except SagaStuck as stuck:
        raise Stuck(play.saga_id, play.name, stuck.reason) from None


@contextmanager
def _answering(found: str) -> Generator[None]:
    """Raise for the caller what the workflow ended with."""
    try:
        yield
    except hands.Compensated as done:
        error = failures.loads(done.text)
        error.add_note(f"recoup: saga {found} was compensated")
        raise error from None
    except Stuck as stuck:
        raise stuck.again() from None
    except Interrupted as error:
        raise JournalError(journal="DBOS", reason=str(error)) from error
