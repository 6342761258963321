"""The ledger: what runs next, what is tried again, what comes out."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recoup._core import waiting
from recoup.errors import CompensationError, DeadlineExceeded
from recoup.strategies.compensation.state import GRACE, Ledger, Notice, Tally, Undo, noticed


def action() -> None:
    pass


def ledger(*tasks: Any, seconds: float = 10.0, now: float = 100.0) -> Ledger:
    return Ledger(tasks, seconds, now)


def undo(attempts: int = 1, delay: float = 0.0) -> Undo:
    return Undo(action, {}, attempts, delay)


def raised(error: BaseException) -> BaseException:
    """Give an error a traceback, as `except` blocks see it."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - that is the point
        return caught


def test_tasks_run_in_order_and_are_counted() -> None:
    """Every action runs once, callbacks are no actions."""
    first, second, notice = undo(), undo(), Notice(action)
    mine = ledger(notice, first, second, notice)
    assert mine.total == 2
    for expected in (notice, first, second, notice):
        assert mine.next(100.0) is expected
        mine.succeeded()
    assert mine.next(100.0) is None
    assert (mine.undone, mine.failures) == (2, [])
    assert mine.summary() == "compensated: 2 of 2 actions succeeded"


def test_one_failure_never_stops_the_others() -> None:
    """S2: what fails is listed, with the name of its action, and the next one runs."""
    first, second = undo(), undo()
    mine = ledger(first, second)
    error = raised(KeyError("k"))
    assert mine.next(100.0) is first
    mine.failed(error, 100.0)
    assert mine.next(100.0) is second
    mine.succeeded()
    assert mine.next(100.0) is None
    assert (mine.undone, mine.failures) == (1, [error])
    assert error.__notes__ == ["recoup: in compensation action 'action'"]
    assert mine.summary() == "compensated in part: 1 of 2 actions failed (KeyError: 'k')"


def test_a_failed_action_is_tried_again() -> None:
    """S2: an action has its own number of tries and its own pause, and the next action starts with all of its own."""
    first, second = undo(3, 2.0), undo(2, 1.0)
    mine = ledger(first, second)
    errors = [raised(KeyError(number)) for number in range(5)]
    waits = []
    for error in errors[:2]:
        assert mine.next(100.0) is first
        waits.append(mine.wait)
        mine.failed(error, 100.0)
    assert mine.next(100.0) is first
    waits.append(mine.wait)
    mine.failed(errors[2], 100.0)
    assert mine.next(100.0) is second
    waits.append(mine.wait)
    mine.failed(errors[3], 100.0)
    assert mine.next(100.0) is second
    waits.append(mine.wait)
    mine.succeeded()
    assert mine.next(100.0) is None
    assert waits == [0.0, 2.0, 2.0, 0.0, 1.0]
    assert (mine.undone, mine.failures) == (1, [errors[2]])
    assert errors[2].__notes__ == ["recoup: in compensation action 'action', try 3 of 3"]
    assert mine.wait == 0.0


@pytest.mark.parametrize(("now", "again"), [(107.9, True), (108.0, False)])
def test_a_pause_that_does_not_fit_is_not_begun(now: float, again: bool) -> None:
    """S1: a pause that would use up `saga_timeout` is not slept."""
    first, second = undo(2, 2.0), undo()
    mine = ledger(first, second)
    mine.next(100.0)
    mine.failed(raised(KeyError()), now)
    assert mine.next(now) is (first if again else second)
    assert len(mine.failures) == (not again)


def test_control_flow_is_never_tried_again() -> None:
    """G2: Ctrl-C in an action ends that action only, and goes on at the end."""
    first, second = undo(3), undo()
    mine = ledger(first, second)
    error = raised(KeyboardInterrupt())
    mine.next(100.0)
    mine.failed(error, 100.0)
    assert mine.next(100.0) is second
    mine.succeeded()
    assert mine.failures == [error]
    assert mine.outcome(ValueError(), raise_original=False) is error


def test_time_is_up() -> None:
    """S1: what has not run within `saga_timeout` has failed; the callback at the end still runs."""
    first, second, third, notice = undo(), undo(), undo(), Notice(action)
    mine = ledger(first, second, third, notice)
    assert mine.next(109.9) is first
    mine.succeeded()
    assert mine.next(110.0) is notice
    assert mine.limit(notice, 110.0) == GRACE
    mine.succeeded()
    assert mine.next(110.0) is None
    assert mine.undone == 1
    for error in mine.failures:
        assert isinstance(error, DeadlineExceeded)
        assert (error.seconds, error.started, error.name) == (10.0, False, "saga_timeout")
    assert len(mine.failures) == 2


def test_time_left() -> None:
    """Each task gets what is left; a callback gets a second at the least."""
    mine = ledger(undo(), seconds=10.0, now=100.0)
    assert [mine.left(now) for now in (100.0, 104.0, 110.0, 111.0)] == [10.0, 6.0, 0.0, 0.0]
    assert mine.limit(undo(), 109.5) == 0.5
    assert mine.limit(Notice(action), 109.5) == 1.0
    assert mine.limit(Notice(action), 102.0) == 8.0


def test_a_clock_that_goes_backwards_starts_anew() -> None:
    """G12: the time left is never more than `saga_timeout`, and counts from the earlier time."""
    mine = ledger(seconds=10.0, now=100.0)
    assert [mine.left(now) for now in (105.0, 50.0, 52.0, 60.0)] == [5.0, 10.0, 8.0, 0.0]


def test_the_error_of_a_notice_is_no_failure() -> None:
    """G9: a callback never counts as an action."""
    notice, last = Notice(action), undo()
    mine = ledger(notice, last)
    mine.next(100.0)
    mine.failed(raised(ValueError()), 100.0)
    assert mine.next(100.0) is last
    assert mine.failures == []
    assert mine.interrupt is None


def test_control_flow_of_a_notice_goes_on() -> None:
    """G9: control flow from a callback propagates, after the actions."""
    notice, last = Notice(action), undo()
    mine = ledger(notice, last)
    error = raised(SystemExit())
    mine.next(100.0)
    mine.failed(error, 100.0)
    assert mine.next(100.0) is last
    mine.succeeded()
    assert mine.outcome(ValueError(), raise_original=False) is error


def test_nothing_is_kept_afterwards() -> None:
    """G11: a ledger that has done its work lets go of every error."""
    mine = failed(KeyError())
    mine.interrupted(Cancelled())
    mine.forget()
    assert (mine.failures, mine.interrupt) == ([], None)


class Cancelled(BaseException):
    pass


@pytest.mark.parametrize(
    ("interrupts", "winner"),
    [
        ([Cancelled(), Cancelled()], 0),
        ([Cancelled(), KeyboardInterrupt()], 1),
        ([KeyboardInterrupt(), Cancelled()], 0),
        ([SystemExit(), KeyboardInterrupt()], 0),
    ],
)
def test_which_interrupt_goes_on(interrupts: list[BaseException], winner: int) -> None:
    """The end of the process goes before a cancellation, then the first one counts."""
    mine = ledger()
    for each in interrupts:
        mine.interrupted(each)
    assert mine.outcome(ValueError(), raise_original=False) is interrupts[winner]


@pytest.mark.parametrize("raise_original", [True, False])
def test_all_done_means_the_operations_own_error(raise_original: bool) -> None:
    """G3: when everything is undone the operation's error comes out itself, with one note."""
    mine = ledger(undo())
    mine.next(100.0)
    mine.succeeded()
    error = ValueError()
    error.add_note("recoup: 3 attempts")
    assert mine.outcome(error, raise_original=raise_original) is None
    assert error.__notes__ == ["recoup: compensated: 1 of 1 actions succeeded"]


def failed(*errors: BaseException) -> Ledger:
    mine = ledger(*[undo() for _ in errors], undo())
    for error in errors:
        mine.next(100.0)
        mine.failed(error, 100.0)
    mine.next(100.0)
    mine.succeeded()
    return mine


def test_failures_are_reported_in_one_error() -> None:
    """S2: one CompensationError with the original as cause and every failure."""
    original, first, second = ValueError("own"), KeyError("k"), OSError("o")
    error = failed(first, second).outcome(original, raise_original=False)
    assert isinstance(error, CompensationError)
    assert (error.original, error.failures, error.undone, error.__cause__) == (original, (first, second), 1, original)
    assert not hasattr(original, "__notes__")


def test_raise_original_keeps_the_operations_error() -> None:
    """S2: the workflow's way: the operation's error, with the failures as a note."""
    original = ValueError("own")
    assert failed(KeyError("k")).outcome(original, raise_original=True) is None
    assert original.__notes__ == ["recoup: compensated in part: 1 of 2 actions failed (KeyError: 'k')"]


def test_every_failure_is_named_in_the_note() -> None:
    """S2: the note lists all of them."""
    text = "compensated in part: 2 of 3 actions failed (KeyError: 'k'; OSError: o)"
    assert failed(KeyError("k"), OSError("o")).summary() == text


def test_control_flow_is_never_replaced() -> None:
    """G2: a cancellation goes on as it is, whatever failed meanwhile, with a note."""
    original = Cancelled()
    assert failed(KeyError("k")).outcome(original, raise_original=False) is None
    assert original.__notes__ == ["recoup: compensated in part: 1 of 2 actions failed (KeyError: 'k')"]


def test_a_second_cancellation_does_not_replace_the_first() -> None:
    """G2: when the operation itself was cancelled, that cancellation goes on; Ctrl-C goes before it."""
    mine, original = ledger(), Cancelled()
    mine.interrupted(Cancelled())
    assert mine.outcome(original, raise_original=False) is None
    interrupt = KeyboardInterrupt()
    mine.interrupted(interrupt)
    assert mine.outcome(original, raise_original=False) is interrupt


def test_an_interrupt_says_what_was_undone() -> None:
    """What goes on in place of the operation's error carries the note."""
    mine = failed(KeyError("k"))
    cancelled = Cancelled()
    mine.interrupted(cancelled)
    assert mine.outcome(ValueError(), raise_original=False) is cancelled
    assert cancelled.__notes__ == ["recoup: compensated in part: 1 of 2 actions failed (KeyError: 'k')"]


def test_the_report_of_a_step_is_taken_over() -> None:
    """S2: a saga round a step whose own undoing failed reports both in one error."""
    original, inside, outside = ValueError("own"), KeyError("inside"), KeyError("outside")
    inner = CompensationError(original=original, failures=[inside], undone=2)
    error = failed(outside).outcome(inner, raise_original=False)
    assert isinstance(error, CompensationError)
    assert (error.original, error.failures, error.undone) == (original, (inside, outside), 3)
    assert error.__cause__ is original


@pytest.mark.parametrize(
    ("start", "complete", "expected"),
    [(None, None, "U"), (action, None, "NU"), (None, action, "UN"), (action, action, "NUN")],
)
def test_callbacks_stand_round_the_actions(start: Any, complete: Any, expected: str) -> None:
    """Callbacks run once, round the actions; without actions there are none."""
    assert "".join(type(task).__name__[0] for task in noticed([undo()], start, complete)) == expected
    assert noticed([], start, complete) == []


def test_a_fork_finds_a_count_that_nobody_holds() -> None:
    """Another thread of the parent may have been counting; the child has its number, and a lock of its own (G18)."""
    tally = Tally()
    tally.count()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with tally._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert tally in waiting._forkable
        tally.after_fork()  # as in the child
        tally.count()
        assert tally.total == 2
    finally:
        release.set()
        thread.join()
