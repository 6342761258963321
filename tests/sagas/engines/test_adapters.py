"""What the engines do beside running sagas: options, failures of the engine itself, and calls that arrive too late."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import compensate, retry, saga
from recoup._core.colour import Colour
from recoup.errors import JournalError, RecoveryError
from recoup.sagas.engines import hands
from recoup.sagas.engines.play import Act, Play
from recoup.sagas.journal import Kind, Record
from recoup.sagas.ledger import Entry
from recoup.strategies.compensation import steps
from recoup.strategies.compensation.members import Member
from recoup.strategies.compensation.strategy import Compensation

if TYPE_CHECKING:
    from collections.abc import Callable

dbos = pytest.importorskip("dbos", reason="dbos is not installed: pip install 'recoup[dev]'")
temporalio = pytest.importorskip("temporalio", reason="temporalio is not installed: pip install 'recoup[dev]'")

from temporalio import workflow  # noqa: E402 - only where it is installed
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, RetryState  # noqa: E402 - as above
from temporalio.service import RPCError, RPCStatusCode  # noqa: E402 - as above

from recoup.ext import temporal_work  # noqa: E402 - as above
from recoup.ext.dbos import DBOSEngine, Stuck, _answering  # noqa: E402 - as above
from recoup.ext.dbos_steps import Interrupted, _guarded  # noqa: E402 - as above
from recoup.ext.temporal import TemporalEngine  # noqa: E402 - as above


@pytest.fixture(autouse=True)
def _no_dbos() -> Any:
    """Forget the workflows that an engine has registered."""
    yield
    dbos.DBOS.destroy(destroy_registry=True)


async def sleeping(state: dict[str, Any]) -> None: ...


def sneaky(state: dict[str, Any]) -> object:
    """An undo that does not look asynchronous, and is."""
    return sleeping(state)


def plain(item: str) -> str:
    return item


@retry(max_attempts=2)
def retried(item: str) -> str:
    return item


@saga
async def small_async(item: str) -> str:
    return item


def task(**body: Any) -> hands.Task:
    """Make a step of which the journal says this."""
    given = {"step": f"{__name__}:plain", "undo": [], "args": [], "kwargs": {}, "names": [], **body}
    return hands.Task(Entry(Record(1, Kind.INTENT, 1), given), "shop", "id")


def act(fn: Callable[..., Any], **body: Any) -> Act:
    member = Member(Compensation(), fn, Colour.SYNC, plain, plain, plain)
    made = task(**body)
    return Act(made, member, fn, (("second",), {}), json.dumps(made.entry.body), None)


def test_first_arguments_count() -> None:
    """A function that gives other arguments when it is run again has its step called with those of the first time."""
    made = act(plain, args=["second"])
    recorded = json.dumps({**made.task.entry.body, "args": ["first"]})
    assert made.meant(made.body)() == "second"
    assert made.meant(recorded)() == "first"
    assert made.task.entry.body["args"] == ["first"], "its undo gets them too"


def test_too_late() -> None:
    """A step that begins when its saga has failed is not called."""
    play = Play("shop", "id", None, waits=True)  # type: ignore[arg-type]  # it is not asked
    play.fail()
    with pytest.raises(RecoveryError, match="has failed meanwhile"):
        play.begin(act(plain).member, plain, ((), {}))


def test_stream_in_a_step() -> None:
    """A generator under `@compensate` is refused inside a step as well."""

    @compensate(sneaky)
    def numbers() -> Any:
        yield 1

    with pytest.raises(hands.StepFailed) as failed:
        hands.do(task(), lambda: list(numbers()))
    assert "is a generator, and was called inside step" in failed.value.text
    assert steps.joined() is None


def test_undo_that_is_async_after_all() -> None:
    """An undo of a synchronous saga that returns an awaitable has failed, and what it returned is closed."""
    with pytest.raises(TypeError, match="'sneaky' is async, but its saga is not"):
        hands.undo(task(undo=[f"{__name__}:sneaky"]), {})


@pytest.mark.parametrize("name", ["plain", "retried"])
def test_no_step_any_more(name: str) -> None:
    """A function that is no step any more is not called."""
    with pytest.raises(LookupError, match="is no function under @compensate"):
        hands.part(task(step=f"{__name__}:{name}"))


@pytest.mark.parametrize(
    ("options", "error"),
    [({"undo_attempts": 0}, ValueError), ({"undo_attempts": True}, TypeError), ({"undo_delay": 0}, ValueError)],
)
async def test_bad_options(options: dict[str, Any], error: type[Exception]) -> None:
    """Bad options are refused when an engine is made (G1)."""
    with pytest.raises(error, match=next(iter(options))):
        DBOSEngine(**options)
    with pytest.raises(error, match=next(iter(options))):
        TemporalEngine(None, **options)  # type: ignore[arg-type]  # it is not asked


async def test_shown() -> None:
    """Engines say what they are."""
    assert repr(DBOSEngine(undo_attempts=3)) == "<DBOSEngine undo_attempts=3>"
    assert repr(TemporalEngine(None, task_queue="shop", undo_attempts=3)) == "<TemporalEngine 'shop'>"  # type: ignore[arg-type]  # as above


def test_failure_of_dbos_is_no_failure_of_the_saga() -> None:
    """When DBOS itself fails nothing is undone, and the caller gets a `JournalError` (rule 8)."""
    with pytest.raises(Interrupted, match="OSError: disk full"), _guarded(task()):
        raise OSError("disk full")
    with pytest.raises(JournalError, match="disk full"), _answering("id"):
        raise Interrupted("disk full")


def test_stuck_tells_why() -> None:
    """The error that DBOS shows for a stuck saga says the same as the one that its caller gets."""
    assert str(Stuck("id", "shop", "no bank")) == "saga 'shop' (id) is stuck: no bank"


async def test_no_server() -> None:
    """A Temporal server that does not answer is a `JournalError`."""

    class Client:
        async def start_workflow(self, *args: Any, **options: Any) -> None:
            raise RPCError("unavailable", RPCStatusCode.UNAVAILABLE, b"")

    engine = TemporalEngine(Client())  # type: ignore[arg-type]  # a client that reaches nobody
    with pytest.raises(JournalError, match="unavailable"):
        await engine.run_async(small_async.__recoup_saga__, ("chair",), {}, None)  # type: ignore[attr-defined]  # as `packed`


async def test_arguments_have_to_be_kept() -> None:
    """A step with `save_state=False` is refused on Temporal before it is called: a worker has to be told arguments."""
    made = act(plain)
    del made.task.entry.body["args"]
    with pytest.raises(RecoveryError, match="save_state=False"):
        await temporal_work.Acts({}).do(made)


@pytest.mark.parametrize(
    ("cause", "error", "said"),
    [
        (
            ApplicationError("no such step", type="LookupError"),
            RecoveryError,
            "was not done: LookupError: no such step",
        ),
        (CancelledError("cancelled"), asyncio.CancelledError, "^$"),
        (TimeoutError("lost"), RecoveryError, "1 do .*: lost"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_activities_that_end_badly(
    monkeypatch: pytest.MonkeyPatch, cause: BaseException, error: type[BaseException], said: str
) -> None:
    """What Temporal says of an activity is told without its wrapping, and a cancellation is one."""

    async def execute_activity(*args: Any, **options: Any) -> None:
        raise ActivityError(
            "failed", scheduled_event_id=1, started_event_id=2, identity="", activity_type="", activity_id="",
            retry_state=RetryState.IN_PROGRESS,
        ) from cause  # fmt: skip

    monkeypatch.setattr(workflow, "execute_activity", execute_activity)
    with pytest.raises(error, match=said):
        await temporal_work.Acts({"step_timeout": 1.0, "heartbeat": 1.0}).do(act(plain))


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_step_is_waited_for(fails: bool) -> None:
    """A synchronous step that has begun in its thread is waited for, whatever is cancelled; its result counts (B3)."""
    begun, go = threading.Event(), threading.Event()

    def step() -> str:
        begun.set()
        go.wait()
        if fails:
            raise ValueError("no")
        return "done"

    running = asyncio.ensure_future(temporal_work._in_thread(step))
    await asyncio.to_thread(begun.wait)
    running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    go.set()
    if fails:
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        assert await running == "done"
