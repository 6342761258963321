"""`with saga(...)` on a journal: what happens in one process (rules S1, S2, S4)."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import recoup
from recoup import (
    CompensationError,
    JournalError,
    RecoveryError,
    SagaExists,
    UnserializableError,
    configure,
    saga,
    step,
)
from recoup.sagas import people
from recoup.sagas.journal import Kind, State
from recoup.sagas.keeper import Journal
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Both


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    shop.LOG.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


def kinds(journal: Journal, id: str) -> list[str]:
    return [f"{each.kind}{each.n or ''}" for each in people.show(id, journal=journal).records]


def state(journal: Journal, id: str) -> State:
    return people.show(id, journal=journal).head.state


class Block:
    """Run steps in a saga of either colour, and keep how it went."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.id = ""

    def run(self, *names: str, fail: str = "", **options: Any) -> None:
        if self.both.is_async:
            self.both.run(self._run_async, *names, fail=fail, **options)
            return
        with saga("order", **options) as block:
            self.id = getattr(block, "id", "")
            for name in names:
                shop.do(name)
            if fail:
                raise ConnectionError(fail)

    async def _run_async(self, *names: str, fail: str, **options: Any) -> None:
        async with saga("order", **options) as block:
            self.id = getattr(block, "id", "")
            for name in names:
                await shop.do_async(name)
            if fail:
                raise ConnectionError(fail)


@pytest.fixture
def block(both: Both) -> Block:
    return Block(both)


def test_completes(block: Block, journal: Journal) -> None:
    """Every step is written down before and after it, and the end last; k steps need k + 1 commits."""
    block.run("a", "b")
    assert kinds(journal, block.id) == ["intent1", "done1", "intent2", "done2", "end"]
    assert state(journal, block.id) is State.DONE
    assert shop.LOG == [("do", "a"), ("do", "b")]


def test_fails(block: Block, journal: Journal) -> None:
    """A block that fails undoes its steps, the last one first, with their results, and its error comes out (S1)."""
    with pytest.raises(ConnectionError, match="down") as caught:
        block.run("a", "b", fail="down")
    assert shop.LOG == [("do", "a"), ("do", "b"), ("undo", "b2 B"), ("undo", "a1 A")]
    assert kinds(journal, block.id) == [
        *("intent1", "done1", "intent2", "done2"),
        *("compensating", "undone2", "undone1", "end"),
    ]
    assert state(journal, block.id) is State.COMPENSATED
    assert caught.value.__notes__ == ["recoup: compensated: 2 of 2 actions succeeded"]


def test_failing_step_undoes_itself(journal: Journal) -> None:
    """A step that fails is undone at once, whether its block goes on or not (S1)."""
    shop.FAULTS["do b"] = ConnectionError("no")
    with saga("order") as block:
        shop.do("a")
        with pytest.raises(ConnectionError):
            shop.do("b")
        shop.do("c")
    assert shop.LOG == [("do", "a"), ("do", "b"), ("undo", "b2 -"), ("do", "c")]
    assert state(journal, block.id) is State.DONE  # type: ignore[attr-defined]


def test_inner_saga(block: Block, both: Both, journal: Journal) -> None:
    """An inner saga that fails undoes its own steps at once; one that completes is a part of the outer one."""
    with pytest.raises(ConnectionError, match="out"), saga("outer") as outer:
        shop.do("a")
        with pytest.raises(ConnectionError, match="in"), saga("inner"):
            shop.do("b")
            raise ConnectionError("in")
        with saga("inner"):
            shop.do("c")
        raise ConnectionError("out")
    assert shop.LOG[2:] == [("undo", "b2 B"), ("do", "c"), ("undo", "c3 C"), ("undo", "a1 A")]
    assert [each.name for each in people.listed(tuple(State))] == ["outer"]
    assert state(journal, outer.id) is State.COMPENSATED  # type: ignore[attr-defined]


def test_key(block: Block, both: Both, journal: Journal) -> None:
    """A key is used by one saga at a time; one that was undone frees it."""
    block.run("a", key="7")
    with pytest.raises(SagaExists, match="key '7' exists and is done") as caught:
        block.run("a", key="7")
    assert caught.value.id == block.id
    with pytest.raises(ConnectionError):
        block.run("a", key="8", fail="no")
    block.run("a", key="8")
    assert len(shop.LOG) == 4


def test_undo_fails(block: Block, journal: Journal) -> None:
    """When an undo fails, those before it wait for it, and the saga is left to whoever looks after sagas (rule 9)."""
    shop.FAULTS["undo b2 B"] = OSError("disk")
    with pytest.raises(CompensationError, match="disk"):
        block.run("a", "b", fail="down")
    assert ("undo", "a1 A") not in shop.LOG
    assert state(journal, block.id) is State.COMPENSATING
    shop.FAULTS.clear()
    assert people.recover() == {block.id: State.COMPENSATED}
    assert shop.LOG[-2:] == [("undo", "b2 B"), ("undo", "a1 A")]


def test_swallowed_failure_of_an_undo(journal: Journal) -> None:
    """A saga in which a step is not undone cannot complete, whatever the block makes of that error."""
    shop.FAULTS["do b"] = ConnectionError("no")
    shop.FAULTS["undo b2 -"] = OSError("disk")
    with pytest.raises(CompensationError, match="disk"), saga("order"):
        shop.do("a")
        with pytest.raises(CompensationError):
            shop.do("b")
    assert people.listed()[0].state is State.COMPENSATING


def test_pivot(journal: Journal) -> None:
    """After a pivot nothing is undone: a block that fails then waits for a person."""
    with pytest.raises(ConnectionError) as caught, saga("order") as block:
        shop.do("a")
        shop.ship("b")
        raise ConnectionError("after")
    assert shop.LOG == [("do", "a"), ("do", "b")]
    assert "is stuck: it failed after its pivot" in caught.value.__notes__[0]
    head = people.show(block.id).head  # type: ignore[attr-defined]
    assert head.state is State.STUCK
    assert "only forward" in head.reason


def test_pivot_that_fails(journal: Journal) -> None:
    """A pivot that says it failed is no point of no return."""
    shop.FAULTS["do b"] = ConnectionError("refused")
    with pytest.raises(ConnectionError), saga("order") as block:
        shop.do("a")
        shop.ship("b")
    assert shop.LOG[-1] == ("undo", "a1 A")
    assert state(journal, block.id) is State.COMPENSATED  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [TimeoutError("slow"), KeyboardInterrupt()])
def test_pivot_in_doubt(journal: Journal, error: BaseException) -> None:
    """A pivot that was cut off may have had its effect: a person has to look."""
    shop.FAULTS["do b"] = error
    with pytest.raises(type(error)), saga("order"):
        shop.do("a")
        shop.ship("b")
    assert shop.LOG[-1] == ("do", "b")
    assert "whether its pivot" in people.listed()[0].reason


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shop.do(object()), r"argument 'name' of 'tests.sagas.shop:do'|argument 'name' of tests.sagas.shop:do"),  # type: ignore[arg-type]
        (lambda: shop.twice("a", "b", object()), "argument 'more' of"),  # type: ignore[arg-type]
        (lambda: shop.twice("a", x=object()), "argument 'x' of"),
        (lambda: shop.nameless("a"), "made anew by each call"),
    ],
)
def test_refused_before_the_effect(journal: Journal, call: Callable[[], object], message: str) -> None:
    """What could not be undone after a crash is refused before anything happens, with what is wrong (rule G1)."""
    with pytest.raises(UnserializableError, match=message), saga("order"):
        call()
    assert shop.LOG == []
    assert people.listed(tuple(State)) == []


def test_stream_is_refused(journal: Journal) -> None:
    """A generator cannot be a step of a durable saga."""
    with pytest.raises(TypeError, match="is a generator"), saga("order"):
        list(shop.streaming("a"))


def test_recursive_argument(journal: Journal) -> None:
    """A value that contains itself is refused, not followed for ever."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UnserializableError, match="contains itself"), saga("order"):
        shop.do(value)  # type: ignore[arg-type]


def test_result_that_cannot_be_written(journal: Journal) -> None:
    """A result that cannot be written is no error in a block: after a crash it is UNKNOWN."""
    with saga("order") as block:
        shop.returning("a")
    assert people.show(block.id).records[1].body == "{}"  # type: ignore[attr-defined]


def test_secret(journal: Journal) -> None:
    """With `save_state=False` nothing of a call is written down."""
    with saga("order") as block:
        shop.secret("password")
    assert "password" not in repr(people.show(block.id)).lower()  # type: ignore[attr-defined]


def test_step_outside(journal: Journal) -> None:
    """Outside a saga a step is a plain call, and `step()` has a new key each time."""
    assert shop.do("a") == "A"
    assert step().key != step().key
    assert step().n == 0
    assert people.listed(tuple(State)) == []


def test_parallel_steps(journal: Journal) -> None:
    """Steps of several threads and tasks are steps of one saga, and undone in reverse order of completion."""

    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with saga("order"):
                await asyncio.gather(*(asyncio.to_thread(shop.do, name) for name in "abcd"))
                await asyncio.gather(*(shop.do_async(name) for name in "efgh"))
                raise ConnectionError("no")

    asyncio.run(main())
    assert len([each for each in shop.LOG if each[0] == "undo"]) == 8
    assert people.listed(tuple(State))[0].state is State.COMPENSATED


def test_still_running_at_the_end(journal: Journal) -> None:
    """A block that ends while a step of it runs fails; the step undoes itself, and only then the saga is over."""
    go, began = threading.Event(), threading.Event()
    seen: list[BaseException] = []

    def late() -> None:
        try:
            slow()
        except RecoveryError as error:
            seen.append(error)

    @recoup.compensate(shop.undo)
    def slow(name: str = "slow") -> str:
        began.set()
        go.wait(30)
        return name

    with pytest.raises(RecoveryError, match="still runs"), saga("order") as block:
        shop.do("a")
        import contextvars

        thread = threading.Thread(target=contextvars.copy_context().run, args=(late,))
        thread.start()
        began.wait(30)
    assert state(journal, block.id) is State.COMPENSATING  # type: ignore[attr-defined]
    go.set()
    thread.join()
    assert "completed after saga 'order' had failed" in str(seen[0])
    assert shop.LOG[-2:] == [("undo", "a1 A"), ("undo", "slow2 -")]
    journal.wait(journal.listed((), 1))
    assert state(journal, block.id) is State.COMPENSATED  # type: ignore[attr-defined]


def test_begins_too_late(journal: Journal) -> None:
    """A step that begins when its saga has failed is not called."""
    with pytest.raises(ConnectionError), saga("order") as block:
        shop.do("a")
        joined = recoup.strategies.compensation.steps.joined()  # type: ignore[attr-defined]
        raise ConnectionError("no")
    assert joined.state.value == "failed"
    assert state(journal, block.id) is State.COMPENSATED  # type: ignore[attr-defined]


def test_memory_round_a_journal(journal: Journal) -> None:
    """A durable saga inside one in memory is refused: the outer one could not undo it."""
    with saga("outer", journal=None):
        with pytest.raises(RuntimeError, match="not in the same journal"), saga("inner"):
            pass
        with pytest.raises(RuntimeError, match="not in the same journal"), saga("inner", key="1"):
            pass


def test_inner_key(journal: Journal) -> None:
    """An inner saga has no key of its own."""
    with saga("outer"), pytest.raises(TypeError, match="key"), saga("inner", key="1"):
        pass


def test_no_journal(block: Block) -> None:
    """Without a journal a saga lives in memory, as ever."""
    with pytest.raises(ConnectionError):
        block.run("a", fail="no")
    assert block.id == ""
    assert [each[0] for each in shop.LOG] == ["do", "undo"]


def test_journal_that_cannot_be_opened(both: Both, tmp_path: Path) -> None:
    """A journal that cannot be opened is an error before the effect, each time anew."""
    place = Journal(SqliteBackend(tmp_path / "nowhere" / "sagas.db"), recover=False)
    with configure(journal=place):
        for _ in range(2):
            with pytest.raises(JournalError, match="cannot be opened"):
                Block(both).run("a")
    assert shop.LOG == []


def test_entered_twice(journal: Journal) -> None:
    """A block is entered once."""
    block = saga("order")
    with block, pytest.raises(RuntimeError, match="entered before"):
        block.__enter__()
    with pytest.raises(RuntimeError, match="never entered"):
        saga("order").__exit__(None, None, None)


def test_callbacks(block: Block, journal: Journal) -> None:
    """`on_compensation_start` and `on_compensation_complete` run once round the undoing (S1)."""
    seen: list[str] = []
    with pytest.raises(ConnectionError):
        block.run(
            "a",
            fail="no",
            on_compensation_start=lambda: seen.append("start"),
            on_compensation_complete=lambda: seen.append("complete"),
        )
    assert seen == ["start", "complete"]


def test_undo_uses_all_actions(journal: Journal) -> None:
    """A step with several actions is undone by all of them, in their order."""
    with pytest.raises(ConnectionError), saga("order") as block:
        shop.twice("a", "b", c=1)
        raise ConnectionError("no")
    assert shop.LOG[1:] == [("undo", "a1 A"), ("undo", "1")]
    assert Kind.UNDONE in [each.kind for each in people.show(block.id).records]  # type: ignore[attr-defined]
