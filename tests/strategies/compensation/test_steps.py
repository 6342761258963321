"""Which steps a saga has, and which saga a step belongs to."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import pytest

from recoup.strategies.compensation import steps
from recoup.strategies.compensation.steps import State, Steps


def plan(name: str) -> Any:
    return lambda error, name=name: [name]


def made(name: str = "saga", outer: Steps | None = None) -> Steps:
    return Steps(name, waits=False, outer=outer)


def names(plans: list[Any]) -> list[str]:
    return [task for each in plans for task in each(ValueError())]


def test_steps_are_undone_in_reverse() -> None:
    """S1: the step that completed last is undone first."""
    mine = made()
    assert all(mine.completed(plan(name)) for name in "abc")
    assert len(mine) == 3
    assert names(mine.fail()) == ["c", "b", "a"]
    assert (mine.state, len(mine)) == (State.FAILED, 0)


def test_a_step_that_completes_after_the_failure_is_told() -> None:
    """S1: a late step learns that it has to undo itself."""
    mine = made()
    mine.fail()
    assert not mine.completed(plan("late"))
    assert len(mine) == 0


def test_a_step_that_completes_after_the_end_is_nobodys() -> None:
    """A saga that has completed undoes nothing any more."""
    mine = made()
    mine.completed(plan("a"))
    assert mine.commit()
    assert mine.completed(plan("late"))
    assert (mine.state, len(mine)) == (State.COMMITTED, 0)


def test_a_completed_saga_is_a_step_of_the_one_around() -> None:
    """S1: what an inner saga has done is undone when the outer one fails later, in the right order."""
    outer = made("outer")
    outer.completed(plan("a"))
    inner = made("inner", outer)
    inner.completed(plan("b"))
    inner.completed(plan("c"))
    assert inner.commit()
    inner.completed(plan("late"))
    outer.completed(plan("d"))
    assert names(outer.fail()) == ["d", "late", "c", "b", "a"]


def test_an_inner_saga_cannot_complete_in_one_that_has_failed() -> None:
    """S1: the steps of a saga whose surroundings have failed are still there to be undone."""
    outer = made("outer")
    inner = made("inner", outer)
    inner.completed(plan("a"))
    outer.fail()
    assert not inner.commit()
    assert inner.state is State.FAILED
    assert not inner.completed(plan("late"))
    assert names(inner.fail()) == ["a"]


def in_context(body: Any) -> None:
    contextvars.copy_context().run(body)


@pytest.mark.parametrize("end", ["commit", "fail"])
def test_only_an_open_saga_counts(end: str) -> None:
    """G16: a step belongs to the innermost saga that is open; closed ones are passed over."""

    def body() -> None:
        assert steps.joined() is None
        outer = made("outer")
        steps.show(outer)
        inner = made("inner", steps.joined())
        steps.show(inner)
        assert steps.joined() is inner
        getattr(inner, end)()
        assert steps.joined() is outer
        outer.fail()
        assert steps.joined() is None

    in_context(body)


def test_leaving_restores_what_was_around() -> None:
    """G16: scopes nest and restore; leaving in another context changes nothing there."""

    def body() -> None:
        outer, inner = made("outer"), None
        steps.show(outer)
        inner = made("inner", outer)
        in_context(lambda: steps.leave(inner))
        steps.show(inner)

        def elsewhere() -> None:
            hidden, _ = steps.hide()
            steps.leave(inner)
            assert steps.ambient() is hidden

        in_context(elsewhere)
        assert steps.joined() is inner
        steps.leave(inner)
        assert steps.joined() is outer

    in_context(body)


def test_what_undoes_is_no_step() -> None:
    """While undoing no saga is open; afterwards it is as before."""

    def body() -> None:
        mine = made()
        steps.show(mine)
        hidden = steps.hide()
        assert steps.joined() is None

        def elsewhere() -> None:
            other = made("other")
            steps.show(other)
            steps.unhide(*hidden)
            assert steps.joined() is other

        in_context(elsewhere)
        assert steps.joined() is None
        steps.unhide(*hidden)
        assert steps.joined() is mine

    in_context(body)


@pytest.mark.parametrize("end", ["commit", "fail"])
def test_closed_sagas_do_not_pile_up(end: str) -> None:
    """A task that spawns its successor inside a saga, for ever, keeps no chain of closed sagas."""
    first = previous = made("0")
    for number in range(1, 5):
        following = made(str(number), previous)
        getattr(previous, end)()
        previous = following
    chain, each = 0, previous.outer
    while each is not None:
        chain, each = chain + 1, each.outer
    assert chain <= 1
    assert first.outer is None


def test_too_late_says_what_to_do() -> None:
    """The error of a late step names the saga and the way out."""
    assert str(steps.too_late("'charge'", made("order"))) == (
        "'charge' completed after saga 'order' had failed, and was undone: wait inside the block for what is started "
        "there"
    )


def test_a_step_of_a_finaliser_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """G7: the collector may run while a step is noted, and a `__del__` of the user's may be a step as well."""
    monkeypatch.setattr(steps, "_lock", threading.RLock())
    mine = made()

    def hold() -> None:
        steps._lock.acquire()
        mine.completed(plan("within"))

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    steps._after_fork()  # the lock is still held, by a thread that a forked child would not have (G18)
    assert mine.completed(plan("in the child"))
    assert len(mine) == 2


def test_steps_of_many_threads() -> None:
    """G7: with steps completing in many threads while the saga fails, each is undone by exactly one side."""
    for _ in range(20):
        mine = made()
        late: list[int] = []
        start = threading.Barrier(5)

        def work(base: int, mine: Steps = mine, late: list[int] = late, start: threading.Barrier = start) -> None:
            start.wait()
            late.extend(number for number in range(base, base + 50) if not mine.completed(plan(str(number))))

        threads = [threading.Thread(target=work, args=(base,)) for base in (0, 100, 200, 300)]
        for thread in threads:
            thread.start()
        start.wait()
        taken = [int(name) for name in names(mine.fail())]
        for thread in threads:
            thread.join()
        assert sorted(taken + late) == [base + number for base in (0, 100, 200, 300) for number in range(50)]
