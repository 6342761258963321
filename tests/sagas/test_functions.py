"""`@saga` functions: run again after a crash, with what is over remembered (issue 5)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    CompensationError,
    RecoveryError,
    SagaExists,
    SagaStuck,
    UnserializableError,
    compensate,
    configure,
    saga,
)
from recoup.sagas import calls, functions, people, settings
from recoup.sagas.journal import Append, State
from recoup.sagas.keeper import Journal
from recoup.sagas.ledger import Ledger
from recoup.sagas.recoverer import Patience
from recoup.sagas.replay import MismatchError, Replay, branch_of
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import orders, shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Both


class Crash(BaseException):
    """The process is gone: nothing more is written."""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for each in (shop.LOG, orders.PLAN, orders.RUNS):
        each.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a function that dies in the step of a name; give its saga's identity."""

    def crash(both: Any, function: Any, *args: Any, at: str) -> str:
        place: Any = people._place(settings.UNSET)
        shop.FAULTS[f"do {at}"] = Crash()
        with monkeypatch.context() as patch:
            patch.setattr(calls.FunctionSaga, "_undoing", lambda *_, **__: None)
            patch.setattr(
                "recoup.sagas.stepping.StepCall._job", lambda self, begun, error, waits: begun.step.__exit__()
            )
            patch.setattr("recoup.sagas.steps.Step.__exit__", lambda self, *_: setattr(self, "_open", False))
            patch.setattr(place, "hand_over", lambda *_: None)
            with pytest.raises(Crash):
                both.call(function, *args) if both is not None else asyncio.run(function(*args))
        shop.FAULTS.clear()
        (head,) = people.listed()
        # What the process had in memory is gone with it, and with it its life.
        place.wait(place.append(Append(head.id, head.fence, (), 0.0, release=True)))
        return head.id

    return crash


def functions_of(both: Both) -> Any:
    return orders.place_async if both.is_async else orders.place


def recovered(id: str) -> State:
    fates = people.recover()
    assert list(fates) == [id]
    return fates[id]


def test_completes(both: Both, journal: Journal) -> None:
    """A call is a saga; what it returns is the function's answer, and stands in the journal."""
    orders.PLAN[:] = ["a", "b"]
    assert both.call(functions_of(both), "x") == "x!"
    (head,) = people.listed(("done",))
    assert head.fn == f"tests.sagas.orders:{'place_async' if both.is_async else 'place'}"
    assert (head.name, head.version) == (("async order", "2") if both.is_async else ("place", ""))
    assert people.show(head.id).records[-1].body == '{"result":"x!"}'


def test_fails(both: Both, journal: Journal) -> None:
    """A function that fails is undone, as a block is (S1)."""
    orders.PLAN[:] = ["a", "crash"]
    with pytest.raises(ConnectionError, match="down"):
        both.call(functions_of(both), "x")
    assert shop.LOG == [("do", "a"), ("undo", "a1 A")]
    assert people.listed(("compensated",))


def test_run_again(both: Both, journal: Journal, crash: Callable[..., str]) -> None:
    """After a crash the function is run again; steps that are over are not, and the one in doubt has its old key."""
    orders.PLAN[:] = ["a", "b", "c"]
    id = crash(both, functions_of(both), "x", at="b")
    assert recovered(id) is State.DONE
    assert shop.LOG == [("do", "a"), ("do", "b"), ("do", "b"), ("do", "c")]
    assert [each["n"] for each in people.told(people.show(id))] == [1, 2, 3]


def test_run_again_and_fail(both: Both, journal: Journal, crash: Callable[..., str]) -> None:
    """A function that fails when it is run again is undone, with the results of before."""
    orders.PLAN[:] = ["a", "b"]
    id = crash(both, functions_of(both), "x", at="b")
    orders.PLAN[:] = ["a", "b", "crash"]
    assert recovered(id) is State.COMPENSATED
    assert shop.LOG[-2:] == [("undo", "b2 B"), ("undo", "a1 A")]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (["c", "b"], "step 1 was tests.sagas.shop:do"),
        (["a", "ship"], "and now it is tests.sagas.shop:ship"),
        ([], "did not come again"),
        (["a"], "did not come again"),
    ],
)
def test_changed_code(journal: Journal, crash: Callable[..., str], both: Both, plan: list[str], message: str) -> None:
    """Where the steps are not those of before, nothing wrong is called: a person has to look (rule 8)."""
    orders.PLAN[:] = ["a", "b"]
    if both.is_async and "ship" in plan:
        plan, message = ["b"], "step 1 was"
    id = crash(both, functions_of(both), "x", at="b")
    shop.LOG.clear()
    orders.PLAN[:] = plan
    assert recovered(id) is State.STUCK
    assert shop.LOG == []
    reason = people.show(id).head.reason
    assert "its code has changed" in reason
    assert message.replace("shop:do", "shop:do_async" if both.is_async else "shop:do") in reason


def test_function_is_gone(
    journal: Journal, crash: Callable[..., str], both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that is not found, or not in that version, leaves its saga to a person."""
    orders.PLAN[:] = ["a", "b"]
    id = crash(both, functions_of(both), "x", at="b")
    monkeypatch.setattr(functions, "_versions", {})
    assert recovered(id) is State.STUCK
    assert "not in version" in people.show(id).head.reason
    with monkeypatch.context() as patch:
        patch.delattr(orders, functions_of(both).__name__)
        people.retry(id)
        assert recovered(id) is State.STUCK
        assert "has no" in people.show(id).head.reason


def test_failed_step_is_remembered(journal: Journal, crash: Callable[..., str]) -> None:
    """A step that failed before the crash fails again without being called, and the function goes on as before."""
    shop.FAULTS["do fails"] = ConnectionError("first")
    orders.PLAN[:] = ["b"]

    class Plain:
        def call(self, function: Any, *args: Any) -> Any:
            return function(*args)

    original = shop.FAULTS["do fails"]
    # The failing step really fails and undoes itself; only the last step is the crash.
    shop.FAULTS["do b"] = Crash()
    with pytest.raises(Crash):
        orders.caught("x")
    (head,) = people.listed(("compensated",))
    assert original is not None
    assert head.name == "failing"
    assert shop.LOG[:3] == [("do", "fails"), ("undo", "fails1 -"), ("do", "instead of first")]


def test_forward_after_a_pivot(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After a pivot a function is never undone: it is run again until it completes."""
    import time

    orders.PLAN[:] = ["a", "ship", "crash"]
    patience = Patience(first_pause=0.01, longest_pause=0.01)
    with Journal(SqliteBackend(path), patience=patience) as place, configure(journal=place):
        with caplog.at_level(logging.WARNING), pytest.raises(ConnectionError) as caught:
            orders.place("x")
        assert "only goes forward now" in caught.value.__notes__[0]
        while len(orders.RUNS) < 3:
            time.sleep(0.01)
        orders.PLAN[:] = ["a", "ship", "c"]
        while not people.listed(("done",)):
            time.sleep(0.01)
    assert shop.LOG == [("do", "a"), ("do", "ship"), ("do", "c")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sagas.db"


def test_branches(journal: Journal, crash: Callable[..., str]) -> None:
    """Tasks that run beside one another are known again by their first steps, each with its own order."""
    orders.PLAN[:] = ["a", "b", "c"]
    id = crash(None, orders.branches, "x", at="bb")
    shop.LOG.clear()
    assert recovered(id) is State.DONE
    assert ("do", "bb") in shop.LOG
    assert [each for each in shop.LOG if each[1] in {"a", "b", "c"}] == []


def test_changed_branches(journal: Journal, crash: Callable[..., str]) -> None:
    """A task that begins with another step than any of before leaves the saga to a person."""
    orders.PLAN[:] = ["a", "b", "c"]
    id = crash(None, orders.branches, "x", at="bb")
    shop.LOG.clear()
    orders.PLAN[:] = ["d", "b", "c"]
    assert recovered(id) is State.STUCK
    assert "began beside others" in people.show(id).head.reason
    assert ("do", "d") not in shop.LOG


def test_threads(journal: Journal) -> None:
    """Steps in threads are steps of the function's saga."""
    orders.PLAN[:] = ["a", "b", "c"]
    assert sorted(asyncio.run(orders.threads("x"))) == ["A", "B", "C"]


def test_key(both: Both, journal: Journal) -> None:
    """A call with a key that was used gives the result of the first one; while that is not over, it is refused."""
    function: Any = orders.keyed_async if both.is_async else orders.keyed
    order = orders.Order("7", ("chair", "table"))
    assert both.call(function, order) == "7 with 2 lines"
    assert both.call(function, order) == "7 with 2 lines"
    assert shop.LOG == [("do", "7")]
    shop.FAULTS["do 8"] = ConnectionError("no")
    shop.FAULTS["undo 81 -"] = OSError("no")
    shop.FAULTS["undo 81 ?"] = OSError("no")

    class Eight(orders.Order):
        pass

    with pytest.raises(CompensationError):
        both.call(function, orders.Order("8"))
    with pytest.raises(SagaExists, match="exists and is compensating"):
        both.call(function, orders.Order("8"))


def test_without_journal(both: Both) -> None:
    """Without a journal the function's saga lives in memory."""
    orders.PLAN[:] = ["a", "crash"]
    with pytest.raises(ConnectionError):
        both.call(functions_of(both), "x")
    assert [("do", "a"), ("undo", "a" + shop.LOG[-1][1][1:])] == shop.LOG


def test_inner_function(journal: Journal) -> None:
    """A function's saga inside another one is a part of that one."""
    orders.PLAN[:] = ["a"]
    assert orders.outer("x") == "Xinner!"
    assert [each.name for each in people.listed(("done",))] == ["outer"]


def test_result_that_cannot_be_written(journal: Journal) -> None:
    """What would be missing after a crash is an error now: of a step, and of the function."""
    with pytest.raises(UnserializableError, match="the result of"):
        orders.returning("a")
    with pytest.raises(UnserializableError, match="the result of"):
        orders.opaque("b")
    assert [each[0] for each in shop.LOG] == ["do", "undo", "do", "undo"]


def test_nested_function_is_refused(journal: Journal) -> None:
    """A function that nothing leads to is refused before it begins."""

    @saga
    def inside() -> None:
        shop.do("a")

    with pytest.raises(UnserializableError, match="define it at the top of a module"):
        inside()
    other = saga(orders.place.__wrapped__)  # type: ignore[attr-defined]
    with pytest.raises(UnserializableError, match="its name leads to something else"):
        other("x")
    assert shop.LOG == []


def test_argument_is_refused(journal: Journal) -> None:
    """An argument of a function that cannot be written is refused, with its name (G1)."""
    with pytest.raises(UnserializableError, match=r"argument 'name' of tests\.sagas\.orders:place"):
        orders.place(object())  # type: ignore[arg-type]


def test_bad_functions() -> None:
    """What is no function is refused when it is decorated."""
    with pytest.raises(TypeError, match="cannot be a saga"):

        @saga
        def stream() -> Any:
            yield 1

    with pytest.raises(TypeError, match=r"cannot be decorated|cannot be a saga|is not callable|must be"):
        saga("x")(3)  # type: ignore[type-var]


def test_key_of_a_block(journal: Journal) -> None:
    """A function as key is for functions: a block has no arguments."""
    with pytest.raises(TypeError, match="is for @saga above a function"), saga("order", key=lambda: "x"):
        pass


class Engine:
    """An engine that only says that it was called."""

    def run(self, function: Any, args: Any, kwargs: Any, key: Any) -> Any:
        return ("run", function.name, args, kwargs, key)

    async def run_async(self, function: Any, args: Any, kwargs: Any, key: Any) -> Any:
        return ("run", function.name, args, kwargs, key)


def test_engine(both: Both) -> None:
    """An engine gets the function and the call; blocks are refused before anything."""
    function: Any = orders.keyed_async if both.is_async else orders.keyed
    with configure(journal=Engine()):
        order = orders.Order("7")
        name, key = ("keyed async", "7") if both.is_async else ("keyed", "7")
        assert both.call(function, order) == ("run", name, (order,), {}, key)
        with pytest.raises(RecoveryError, match="on an engine only functions are sagas"), saga("block"):
            pass


def test_memory_inside_durable(journal: Journal) -> None:
    """A saga in memory cannot be a part of one that outlives its process."""
    with saga("outer"), pytest.raises(RuntimeError, match="lives in memory"), saga("inner", journal=None):
        pass


def test_own_journal(tmp_path: Path) -> None:
    """A function may have a journal of its own."""
    place = Journal(SqliteBackend(tmp_path / "own.db"), recover=False)
    made = functions.SagaFunction(
        orders.place.__wrapped__,  # type: ignore[attr-defined]
        options={
            "name": None,
            "version": "own",
            "key": None,
            "saga_timeout": 3,
            "journal": place,
            "on_compensation_start": None,
            "on_compensation_complete": None,
        },
    )
    assert made.journal() is place


def test_replay_of_nothing() -> None:
    """A saga that runs for the first time has nothing to match."""
    replay = Replay(Ledger())
    token = branch_of()
    replay.begin(token)
    assert replay.match({"step": "a"}, token) == (None, 0)
    assert replay.left() is None
    assert issubclass(MismatchError, Exception)


def test_stuck_is_no_exception() -> None:
    """User code that catches `Exception` does not catch SagaStuck (rule 4)."""
    assert not issubclass(SagaStuck, Exception)


@compensate(shop.undo)
def unused(name: str) -> str:
    return name
