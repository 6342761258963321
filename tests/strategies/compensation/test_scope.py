"""`saga()`: completed steps are undone when a later one fails (rules S1, S2, G16)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, RecoveryError, subscribe
from recoup import events as happened
from recoup._core import mode
from recoup.strategies.compensation import steps
from recoup.strategies.compensation.scope import Saga, saga
from recoup.strategies.compensation.strategy import compensate

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Books:
    """A shop whose books must balance."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.diary: list[str] = []
        self.states: list[dict[str, Any]] = []
        self.broken: set[str] = set()

    def undo(self, state: dict[str, Any]) -> None:
        self.states.append(state)
        self.diary.append(f"undo {state['name']}")
        if state["name"] in self.broken:
            raise KeyError(state["name"])

    def step(self, name: str, **options: Any) -> Any:
        """Give a step with its name as default argument."""

        def step(name: str = name, fails: BaseException | None = None) -> str:
            self.diary.append(name)
            if fails is not None:
                raise fails
            return name.upper()

        return compensate(self.undo, **options)(self.both.wrap(step))

    def play(self, *parts: Any, scope: Saga | None = None) -> None:
        """Call functions one after the other in a saga."""
        scope = scope or saga("order")

        def sync() -> None:
            with scope:
                for part in parts:
                    part()

        async def asynchronous() -> None:
            async with scope:
                for part in parts:
                    result = part()
                    if hasattr(result, "__await__"):
                        await result

        self.both.call(asynchronous if self.both.is_async else sync)


def failing(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def books(both: Both) -> Books:
    return Books(both)


def test_completed_steps_are_undone_in_reverse(books: Books) -> None:
    """S1: when the block fails, what completed in it is undone, the last step first; the error comes out itself."""
    error = ConnectionError("no answer")
    with pytest.raises(ConnectionError) as caught:
        books.play(books.step("a"), books.step("b"), books.step("c"), failing(error))
    assert books.diary == ["a", "b", "c", "undo c", "undo b", "undo a"]
    assert caught.value is error
    assert (error.__context__, error.__cause__) == (None, None)
    assert error.__notes__ == ["recoup: compensated: 3 of 3 actions succeeded"]


def test_a_saga_that_completes_undoes_nothing(books: Books) -> None:
    """Nothing happens when everything went well."""
    scope = saga("order")
    books.play(books.step("a"), books.step("b"), scope=scope)
    assert books.diary == ["a", "b"]
    assert repr(scope) == "<saga 'order' completed, 0 steps to undo>"


def test_repr_tells_what_has_become_of_it() -> None:
    """A saga shows its state and how many steps would be undone."""
    scope = saga("order")
    assert repr(scope) == "<saga 'order' not entered>"

    def block() -> None:
        with scope:
            compensate(lambda: None)(lambda: None)()
            assert repr(scope) == "<saga 'order' open, 1 steps to undo>"
            raise LookupError

    with pytest.raises(LookupError):
        block()
    assert repr(scope) == "<saga 'order' failed, 0 steps to undo>"


def test_the_failing_step_is_undone_first(books: Books) -> None:
    """S1: nobody knows how far a failing step came, so it undoes itself, before the completed ones."""
    step = books.step("b")
    with pytest.raises(ValueError, match="own"):
        books.play(books.step("a"), lambda: step(fails=ValueError("own")))
    assert books.diary == ["a", "b", "undo b", "undo a"]
    failed, completed = books.states
    assert "result" not in failed
    assert completed["result"] == "A"


def test_a_failure_that_is_handled_undoes_one_step(books: Books) -> None:
    """A step whose failure the block survives is undone alone."""
    step = books.step("b")

    def handled() -> Any:
        async def wait() -> None:
            with pytest.raises(ValueError, match="own"):
                await step(fails=ValueError("own"))

        if books.both.is_async:
            return wait()
        with pytest.raises(ValueError, match="own"):
            step(fails=ValueError("own"))
        return None

    books.play(books.step("a"), handled)
    assert books.diary == ["a", "b", "undo b"]


def test_the_state_of_a_completed_step(books: Books) -> None:
    """The undo of a completed step knows its arguments, its result and why."""
    error = LookupError()
    step = books.step("a")
    with pytest.raises(LookupError):
        books.play(lambda: step("x"), failing(error))
    [state] = books.states
    args, kwargs = state.pop("args"), state.pop("kwargs")
    assert state == {"name": "x", "fails": None, "result": "X", "error": error}
    assert inspect.signature(step).bind(*args, **kwargs).args[0] == "x"


def test_save_state_false_keeps_nothing_of_a_step(both: Both) -> None:
    """With `save_state=False` a completed step's arguments and result are not kept."""
    books = Books(both)
    states: list[Any] = []
    error = LookupError()
    step = compensate(states.append, save_state=False)(both.wrap(lambda: "result"))
    with pytest.raises(LookupError):
        books.play(step, failing(error))
    assert states == [{"error": error}]


def test_one_error_reports_everything(books: Books) -> None:
    """S2: failures of the failing step's own undo and of the others stand in one CompensationError."""
    books.broken = {"a", "c"}
    step = books.step("c")
    error = ValueError("own")
    with pytest.raises(CompensationError) as caught:
        books.play(books.step("a"), books.step("b"), lambda: step(fails=error))
    assert books.diary == ["a", "b", "c", "undo c", "undo b", "undo a"]
    assert caught.value.original is caught.value.__cause__ is error
    assert [failure.args for failure in caught.value.failures] == [("c",), ("a",)]
    assert caught.value.undone == 1


def test_only_the_failing_steps_undo_failed(books: Books) -> None:
    """S2: when the others are undone, the report of the failing step comes out as it is."""
    books.broken = {"b"}
    step = books.step("b")
    with pytest.raises(CompensationError) as caught:
        books.play(books.step("a"), lambda: step(fails=ValueError("own")))
    assert [failure.args for failure in caught.value.failures] == [("b",)]
    assert caught.value.__notes__ == ["recoup: compensated: 1 of 1 actions succeeded"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_undoes_too(books: Books, kind: type[BaseException]) -> None:
    """S1: Ctrl-C in the block: everything is undone, then it goes on."""
    error = kind()
    with pytest.raises(kind) as caught:
        books.play(books.step("a"), failing(error))
    assert caught.value is error
    assert books.diary == ["a", "undo a"]


def test_each_step_has_its_own_policy(books: Books, clock: VirtualClock) -> None:
    """S2: a step's undo is tried again by the step's own policy."""
    books.broken = {"a", "b"}
    with pytest.raises(CompensationError):
        books.play(
            books.step("a", compensation_attempts=3, compensation_delay=2),
            books.step("b", compensation_attempts=2, compensation_delay=5),
            failing(LookupError()),
        )
    assert books.diary[2:] == ["undo b", "undo b", "undo a", "undo a", "undo a"]
    assert clock.sleeps == [5, 2, 2]


def test_saga_timeout_is_the_sagas(books: Books, clock: VirtualClock) -> None:
    """S1: the saga's own limit holds for all steps together; those of the steps do not count."""
    books.broken = {"b"}
    with pytest.raises(CompensationError) as caught:
        books.play(
            books.step("a", saga_timeout=1),
            books.step("b", compensation_attempts=99, compensation_delay=4),
            failing(LookupError()),
            scope=saga("order", saga_timeout=10),
        )
    assert books.diary[2:] == ["undo b", "undo b", "undo b", "undo a"]
    assert clock.sleeps == [4, 4]
    assert caught.value.undone == 1


def test_callbacks_and_events(books: Books) -> None:
    """G9: the saga's callbacks stand round everything, those of a step round its actions; events name the saga."""
    seen: list[Any] = []

    def told(text: str) -> Any:
        return lambda: books.diary.append(text)

    step = books.step("a", on_compensation_start=told("step starts"), on_compensation_complete=told("step complete"))
    scope = saga("order", on_compensation_start=told("start"), on_compensation_complete=told("complete"))
    with subscribe(seen.append), pytest.raises(LookupError):
        books.play(step, books.step("b"), failing(LookupError()), scope=scope)
    assert books.diary == ["a", "b", "start", "undo b", "step starts", "undo a", "step complete", "complete"]
    assert seen == [
        happened.CompensationStarted("order", 2, "LookupError"),
        happened.CompensationFinished("order", 2, 0),
    ]


def test_nothing_to_undo(books: Books) -> None:
    """A saga without completed steps tells nobody and notes nothing."""
    error = LookupError()
    scope = saga("order", on_compensation_start=lambda: books.diary.append("start"))
    with pytest.raises(LookupError):
        books.play(failing(error), scope=scope)
    assert books.diary == []
    assert not hasattr(error, "__notes__")


def test_a_completed_saga_is_a_step_of_the_one_around(books: Books) -> None:
    """S1: what an inner saga has done is undone when the outer one fails later."""

    def inner() -> Any:
        async def run() -> None:
            async with saga("inner"):
                await books.step("b")()
                await books.step("c")()

        if books.both.is_async:
            return run()
        with saga("inner"):
            books.step("b")()
            books.step("c")()
        return None

    with pytest.raises(LookupError):
        books.play(books.step("a"), inner, books.step("d"), failing(LookupError()))
    assert books.diary == ["a", "b", "c", "d", "undo d", "undo c", "undo b", "undo a"]


def test_an_inner_saga_that_fails_undoes_its_own(books: Books) -> None:
    """S1: an inner saga undoes its steps once; the outer one those around."""

    def inner() -> Any:
        async def run() -> None:
            async with saga("inner"):
                await books.step("b")()
                raise LookupError

        if books.both.is_async:
            return run()
        with saga("inner"):
            books.step("b")()
            raise LookupError

    with pytest.raises(LookupError):
        books.play(books.step("a"), inner)
    assert books.diary == ["a", "b", "undo b", "undo a"]


def test_what_undoes_is_no_step(books: Books) -> None:
    """An undo that is decorated itself does not become a step of a saga."""
    undo = books.step("undo")
    step = compensate(lambda: undo())(books.both.wrap(lambda: None))  # noqa: PLW0108 - hides what is async
    with pytest.raises(LookupError):
        books.play(books.step("a"), step, failing(LookupError()))
    assert books.diary == ["a", "undo", "undo a"]


def test_a_failing_step_in_an_open_saga_registers_nothing(books: Books) -> None:
    """The undo of a failing step is no step of the saga round it either."""
    undo = books.step("undo")

    def fail() -> None:
        raise LookupError

    step = compensate(lambda: undo())(books.both.wrap(fail))  # noqa: PLW0108 - as above
    with pytest.raises(LookupError):
        books.play(books.step("a"), step)
    assert books.diary == ["a", "undo", "undo a"]


def test_outside_a_saga_a_step_is_a_plain_call(books: Books) -> None:
    """G16: before, after and between sagas nothing is remembered."""
    step = books.step("a")
    books.both.call(step)
    books.play(books.step("b"))
    books.both.call(step)
    with pytest.raises(LookupError):
        books.play(failing(LookupError()))
    assert books.diary == ["a", "b", "a"]
    assert steps.joined() is None


def test_leaving_a_saga_restores_what_was_around(both: Both) -> None:
    """G16: after the block the context is as it was before, not only as good as it was."""

    def sync() -> None:
        with saga("outer"):
            around = steps.ambient()
            assert around is not None
            for error in (None, LookupError()):
                with contextlib.suppress(LookupError), saga("inner"):
                    assert steps.ambient() is not around
                    if error is not None:
                        raise error
                assert steps.ambient() is around
        assert steps.ambient() is None

    async def asynchronous() -> None:
        async with saga("outer"):
            around = steps.ambient()
            assert around is not None
            for error in (None, LookupError()):
                with contextlib.suppress(LookupError):
                    async with saga("inner"):
                        assert steps.ambient() is not around
                        if error is not None:
                            raise error
                assert steps.ambient() is around
        assert steps.ambient() is None

    both.call(asynchronous if both.is_async else sync)


@pytest.mark.parametrize("save_state", [True, False])
def test_what_a_saga_keeps_alive(save_state: bool) -> None:
    """`save_state=False` keeps neither arguments nor result of a completed step until the saga ends."""

    class Held:
        pass

    @compensate(lambda: None, save_state=save_state)
    def step(argument: Held) -> Held:
        return Held()

    with saga("order"):
        argument = Held()
        kept = [weakref.ref(argument), weakref.ref(step(argument))]
        del argument
        assert [each() is not None for each in kept] == [save_state, save_state]
    assert [each() for each in kept] == [None, None]


def test_a_step_called_again_is_two_steps(books: Books) -> None:
    """Every completed call counts, each with its own arguments."""
    step = books.step("a")
    with pytest.raises(LookupError):
        books.play(lambda: step("x"), lambda: step("y"), failing(LookupError()))
    assert books.diary == ["x", "y", "undo y", "undo x"]


def test_switched_off(books: Books) -> None:
    """G16: with recovery off a saga undoes nothing."""
    error = LookupError()
    with mode.Scope("off"), pytest.raises(LookupError):
        books.play(books.step("a"), failing(error))
    assert books.diary == ["a"]
    assert not hasattr(error, "__notes__")


def test_a_saga_is_entered_once(books: Books) -> None:
    """A saga belongs to one block."""
    scope = saga("order")
    assert repr(scope) == "<saga 'order' not entered>"
    books.play(scope=scope)
    with pytest.raises(RuntimeError, match="saga 'order' was entered before: make a new one for each block"):
        books.play(scope=scope)


def test_a_saga_that_was_not_entered_cannot_be_left() -> None:
    """Misuse is named."""
    with pytest.raises(RuntimeError, match="saga 'saga' was left but never entered"):
        saga().__exit__(None, None, None)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((3,), {}, "name must be a non-empty string, not 3"),
        (("",), {}, "name must be a non-empty string, not ''"),
        ((lambda: None,), {}, "saga is a block, not a decorator: write `with saga():`"),
        ((), {"on_compensation_start": 3}, "on_compensation_start must be callable or None, not 3"),
        ((), {"on_compensation_complete": 3}, "on_compensation_complete must be callable or None, not 3"),
        ((), {"saga_timeout": "3"}, "saga_timeout must be seconds"),
        ((), {"saga_timeout": True}, "saga_timeout must be seconds"),
        ((), {"key": 3}, "unexpected keyword argument 'key'"),
    ],
)
def test_refusals(args: Any, options: Any, message: str) -> None:
    """G1: a saga that cannot be meant is refused when it is made."""
    with pytest.raises(TypeError) as caught:
        saga(*args, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_saga_timeout_refuses(value: float) -> None:
    """G1: the limit is a finite time above zero."""
    with pytest.raises(ValueError, match="saga_timeout must be greater than 0 and finite"):
        saga(saga_timeout=value)


# What differs by colour


async def outliving(work: Any, name: str) -> asyncio.Task[Any]:
    """Start a task in a saga that fails before the task is done."""
    started: list[asyncio.Task[Any]] = []
    with contextlib.suppress(LookupError):
        async with saga(name):
            started.append(asyncio.create_task(work))
            await asyncio.sleep(0)
            raise LookupError
    return started[0]


@pytest.mark.parametrize("field", ["on_compensation_start", "on_compensation_complete"])
async def test_async_callbacks_need_async_with(field: str) -> None:
    """G9: an async callback is refused in `with`, and awaited in `async with`."""
    told: list[str] = []

    async def tell() -> None:
        await asyncio.sleep(0)
        told.append("told")

    options: Any = {field: tell}

    def block() -> None:
        with saga("order", **options):
            pass

    with pytest.raises(TypeError, match=f"{field} is an async function: write `async with saga"):
        block()

    async def block_async() -> None:
        async with saga("order", **options):
            compensate(lambda: None)(lambda: None)()
            raise LookupError

    with pytest.raises(LookupError):
        await block_async()
    assert told == ["told"]


async def test_an_async_undo_needs_async_with() -> None:
    """S1: a step that a sync saga could not undo is refused before it runs."""
    ran: list[str] = []

    async def undo() -> None:
        ran.append("undo")

    @compensate(undo)
    async def step() -> None:
        ran.append("step")

    async def block() -> None:
        with saga("order"):
            await step()

    with pytest.raises(TypeError, match=r"'.*step' is undone by '.*undo', which is async, but saga 'order' was opened"):
        await block()
    assert ran == []
    async with saga("order"):
        await step()
    assert ran == ["step"]


async def test_an_async_step_with_a_plain_undo_in_a_plain_saga() -> None:
    """A plain block undoes async steps by plain actions; an awaitable that turns up is closed and reported."""
    ran: list[str] = []

    async def release() -> None:
        ran.append("never")

    def disguised() -> Any:
        return release()

    @compensate([lambda: ran.append("undo"), disguised])
    async def step() -> None:
        ran.append("step")

    async def block() -> None:
        with saga("order"):
            await step()
            raise LookupError

    with pytest.raises(CompensationError, match=r"1 of 2 compensations failed .* a synchronous call cannot await"):
        await block()
    assert ran == ["step", "undo"]


async def test_tasks_in_a_saga_are_its_steps() -> None:
    """S1: steps of tasks started in the block count, in the order in which they completed."""
    ran: list[str] = []

    @compensate(lambda state: ran.append(f"undo {state['name']}"))
    async def step(name: str, rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.sleep(0)
        ran.append(name)

    async def block() -> None:
        async with saga("order"), asyncio.TaskGroup() as group:
            group.create_task(step("slow", 3))
            group.create_task(step("quick", 1))
            await asyncio.sleep(0.01)
            raise LookupError

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert ran == ["quick", "slow", "undo slow", "undo quick"]
    assert isinstance(caught.value.exceptions[0], LookupError)


async def test_threads_of_to_thread_are_steps() -> None:
    """S1: `asyncio.to_thread` carries the saga along."""
    ran: list[str] = []

    @compensate(lambda state: ran.append(f"undo {state['name']}"))
    def step(name: str) -> None:
        ran.append(name)

    async def block() -> None:
        async with saga("order"):
            await asyncio.to_thread(step, "a")
            await asyncio.to_thread(step, "b")
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    assert ran == ["a", "b", "undo b", "undo a"]


async def test_a_step_that_completes_too_late_undoes_itself() -> None:
    """S1: a task that outlives its failed saga undoes what it does in a step begun there, and is told."""
    ran: list[str] = []
    go = asyncio.Event()

    @compensate(lambda state: ran.append(f"undo {state['name']} {state['result']} {type(state['error']).__name__}"))
    async def step(name: str) -> str:
        await go.wait()
        ran.append(name)
        return name.upper()

    task = await outliving(step("late"), "order")
    go.set()
    with pytest.raises(RecoveryError, match="step' completed after saga 'order' had failed, and was undone") as caught:
        await task
    assert ran == ["late", "undo late LATE RecoveryError"]
    assert caught.value.__context__ is None


async def test_no_cycle_keeps_what_came_too_late() -> None:
    """G11: with the collector off, the error of a late step or saga is gone as soon as it has been dealt with."""
    gone: list[weakref.ref[BaseException]] = []
    go = asyncio.Event()

    @compensate(lambda: None)
    async def step() -> None:
        await go.wait()

    @compensate(lambda: None)
    def plain_step() -> None:
        """Complete at once."""

    async def inner(*, waits: bool) -> None:
        if waits:
            async with saga("inner"):
                plain_step()
                await go.wait()
            return
        with saga("inner"):
            plain_step()
            await go.wait()

    async def plain() -> None:
        joined = steps.joined()
        assert joined is not None
        await go.wait()
        compensation = compensate(lambda: None)
        compensation._keep(plain_step, joined, ((), {}), None)

    async def background(work: Any) -> None:
        try:
            await work
        except RecoveryError as error:
            gone.append(weakref.ref(error))

    gc.collect()
    gc.disable()
    try:
        works = [step(), inner(waits=True), inner(waits=False), plain()]
        tasks = [await outliving(background(work), "order") for work in works]
        go.set()
        await asyncio.gather(*tasks)
        assert [each() for each in gone] == [None] * 4
    finally:
        gc.enable()


async def test_a_late_step_that_cannot_be_undone_is_reported() -> None:
    """S2: as for any other failure."""
    go = asyncio.Event()

    @compensate(lambda state: state["nothing"])
    async def step() -> None:
        await go.wait()

    task = await outliving(step(), "order")
    go.set()
    with pytest.raises(CompensationError, match=r"after RecoveryError: .* completed after saga 'order' had failed"):
        await task


def test_a_late_plain_step_undoes_itself() -> None:
    """S1: the same in threads."""
    ran: list[str] = []
    started, go = threading.Event(), threading.Event()

    @compensate(lambda: ran.append("undo"))
    def step() -> None:
        started.set()
        assert go.wait(10)
        ran.append("step")

    @compensate([])
    def without_undo() -> None:
        assert go.wait(10)

    def work(function: Any) -> None:
        with pytest.raises(RecoveryError, match="had failed, and was undone"):
            function()
        ran.append("told")

    threads: list[threading.Thread] = []

    def block() -> None:
        for function in (step, without_undo):
            context = contextvars.copy_context()
            threads.append(threading.Thread(target=context.run, args=(work, function)))
            threads[-1].start()
        assert started.wait(10)
        threading.Event().wait(0.05)
        raise LookupError

    with pytest.raises(LookupError), saga("order"):
        block()
    go.set()
    for thread in threads:
        thread.join()
    assert sorted(ran) == ["step", "told", "told", "undo"]


async def test_a_late_step_with_nothing_to_undo() -> None:
    """A late step without actions is told all the same."""
    go = asyncio.Event()

    @compensate([])
    async def step() -> None:
        await go.wait()

    task = await outliving(step(), "order")
    go.set()
    with pytest.raises(RecoveryError, match="completed after saga 'order' had failed"):
        await task


async def test_a_step_begun_after_the_saga_is_a_plain_call() -> None:
    """G16: a background task that goes on after a failed saga is not haunted by it."""
    ran: list[str] = []
    go = asyncio.Event()

    @compensate(lambda: ran.append("undo"))
    async def step() -> None:
        ran.append("step")

    async def background() -> None:
        await go.wait()
        await step()

    task = await outliving(background(), "order")
    go.set()
    await task
    assert ran == ["step"]


@pytest.mark.parametrize("inner_waits", [True, False])
async def test_an_inner_saga_that_ends_after_the_outer_one_failed(inner_waits: bool) -> None:
    """S1: a saga that completes in a background task after the one around it has failed undoes itself."""
    ran: list[str] = []
    go = asyncio.Event()

    @compensate(lambda state: ran.append(f"undo {state['name']}"))
    async def step(name: str) -> None:
        ran.append(name)

    async def background() -> None:
        if inner_waits:
            async with saga("inner"):
                await step("a")
                await go.wait()
                await step("b")
        else:
            with saga("inner"):
                await step("a")
                await go.wait()
                await step("b")

    task = await outliving(background(), "outer")
    assert ran == ["a"]
    go.set()
    with pytest.raises(RecoveryError, match="saga 'inner' completed after saga 'outer' had failed, and was undone"):
        await task
    assert ran == ["a", "b", "undo b", "undo a"]
