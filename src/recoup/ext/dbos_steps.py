"""The steps of a saga on DBOS. Each is two steps there, and a third one if it is undone.

DBOS by itself writes nothing down before a step. So what INTENT says is a step of its own: the same arguments go into
the effect when it is begun again, and into its undo, and a function that goes another way after a crash is noticed.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from dbos import DBOS
from dbos import error as errors

from recoup.errors import SagaStuck
from recoup.sagas.engines import hands

if TYPE_CHECKING:
    from collections.abc import Generator

    from recoup.sagas.engines.hands import Task
    from recoup.sagas.engines.play import Act

__all__ = ["AsyncSteps", "Interrupted", "Places", "Steps"]


class Interrupted(BaseException):
    """DBOS itself has failed: nothing is known to be wrong with the saga, and it will be run again."""


class Places(NamedTuple):
    """The numbers that one step has in its workflow, drawn when it begins: steps may run side by side."""

    intend: Any
    do: Any
    undo: Any


class Common:
    """What both colours do alike.

    Args:
        attempts: How often an undo is tried, if the step says nothing itself.
        delay: Seconds between the first two tries.
    """

    def __init__(self, attempts: int, delay: float) -> None:
        self._attempts = attempts
        self._delay = delay

    def reserve(self) -> Places:
        """Draw the numbers of a step."""
        return Places(DBOS.reserve_step(), DBOS.reserve_step(), DBOS.reserve_step())

    def _patience(self, task: Task) -> Any:
        """Say how often an undo is tried."""
        return {
            "name": _named(task, "undo"),
            "retries_allowed": True,
            "interval_seconds": self._delay,
            "max_attempts": task.entry.body.get("attempts", self._attempts),
            "backoff_rate": 2.0,
        }


class Steps(Common):
    """Carries out the steps of a synchronous saga."""

    def do(self, act: Act) -> str:
        """Run a step, or remember it."""
        with _guarded(act.task):
            recorded = act.place.intend.run({"name": _named(act.task, "intend")}, lambda: act.body)
            return str(act.place.do.run({"name": _named(act.task, "do")}, hands.do, act.task, act.meant(recorded)))

    def undo(self, task: Task, error: str, place: Places | None) -> None:
        """Undo a step, or remember that it is undone."""
        with _guarded(task):
            reserved = DBOS.reserve_step() if place is None else place.undo
            reserved.run(self._patience(task), hands.undo, task, json.loads(error))


class AsyncSteps(Common):
    """Carries out the steps of an async saga."""

    async def do(self, act: Act) -> str:
        """Run a step, or remember it."""
        with _guarded(act.task):
            recorded = await act.place.intend.run_async({"name": _named(act.task, "intend")}, lambda: act.body)
            call = act.meant(recorded)
            return str(await act.place.do.run_async({"name": _named(act.task, "do")}, hands.do_async, act.task, call))

    async def undo(self, task: Task, error: str, place: Places | None) -> None:
        """Undo a step, or remember that it is undone."""
        with _guarded(task):
            reserved = DBOS.reserve_step() if place is None else place.undo
            await reserved.run_async(self._patience(task), hands.undo_async, task, json.loads(error))


def _named(task: Task, what: str) -> str:
    return f"{task.entry.n} {what} {task.entry.step}"


@contextmanager
def _guarded(task: Task) -> Generator[None]:
    """Tell failures of a step from those of DBOS, which must not be taken for failures of the saga."""
    try:
        yield
    except hands.StepFailed:
        raise
    except errors.DBOSMaxStepRetriesExceeded as error:
        raise hands.GaveUp(f"{error.errors[-1]!r}, try {len(error.errors)}") from error
    except (errors.DBOSUnexpectedStepError, errors.DBOSStepNondeterminismError) as error:
        raise SagaStuck(id=task.saga_id, name=task.saga, reason=f"its function went another way: {error}") from error
    except Exception as error:
        raise Interrupted(f"{type(error).__qualname__}: {error}") from error
