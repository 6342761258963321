"""The ledger beside a model in plain Python: whatever happens in whatever order, no action is lost or run twice."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.errors import CompensationError, DeadlineExceeded
from recoup.strategies.compensation.state import Ledger, Notice, Undo

SECONDS = 10.0
TASKS = st.lists(
    st.one_of(
        st.just(Notice(print)),
        st.builds(
            lambda attempts, delay: Undo(print, {}, attempts, delay),
            st.integers(1, 3),
            st.sampled_from([0.0, 1.0, 4.0]),
        ),
    ),
    max_size=6,
)


class LedgerMachine(RuleBasedStateMachine):
    """Drives a ledger and keeps its own books, with lists and plain arithmetic."""

    @initialize(tasks=TASKS)
    def begin(self, tasks: list[Any]) -> None:
        self.now = 100.0
        self.passed = 0.0
        self.tasks = tasks
        self.ledger = Ledger(tasks, SECONDS, self.now)
        self.queue = list(enumerate(tasks))  # what has not ended yet
        self.tried = 0  # tries of the first of them
        self.pause = 0.0
        self.good: list[int] = []
        self.bad: list[int] = []
        self.late: list[int] = []
        self.control: BaseException | None = None

    @property
    def running(self) -> Any:
        """Drop what the time does not allow any more, and give what runs now."""
        while self.queue and isinstance(self.queue[0][1], Undo) and self.passed >= SECONDS:
            number, _ = self.queue.pop(0)
            self.bad.append(number)
            self.late.append(number)
            self.tried, self.pause = 0, 0.0
        return self.queue[0][1] if self.queue else None

    def end(self, book: list[int]) -> None:
        number, task = self.queue.pop(0)
        if isinstance(task, Undo):
            book.append(number)
        self.tried, self.pause = 0, 0.0

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds

    @rule(seconds=st.sampled_from([0.5, 5.0, 20.0]))
    def clock_goes_back(self, seconds: float) -> None:
        """Whoever looks at a clock behind the beginning begins anew; the ledger looks when it is asked."""
        self.now -= seconds
        self.passed = max(0.0, self.passed - seconds)
        self.ledger.left(self.now)

    @precondition(lambda self: self.queue)
    @rule()
    def succeeds(self) -> None:
        running = self.running
        assert self.ledger.next(self.now) is running
        if running is not None:
            self.ledger.succeeded()
            self.end(self.good)

    @precondition(lambda self: self.queue)
    @rule()
    def fails(self) -> None:
        running = self.running
        assert self.ledger.next(self.now) is running
        if running is None:
            return
        self.ledger.failed(KeyError(), self.now)
        self.tried += 1
        if isinstance(running, Undo) and self.tried < running.attempts and self.passed + running.delay < SECONDS:
            self.pause = running.delay
        else:
            self.end(self.bad)

    @precondition(lambda self: self.queue)
    @rule(kind=st.sampled_from([KeyboardInterrupt, GeneratorExit]))
    def is_interrupted(self, kind: type[BaseException]) -> None:
        running = self.running
        assert self.ledger.next(self.now) is running
        if running is None:
            return
        error = kind()
        self.ledger.failed(error, self.now)
        if self.control is None or (kind is KeyboardInterrupt and isinstance(self.control, GeneratorExit)):
            self.control = error
        self.end(self.bad)

    @invariant()
    def agrees(self) -> None:
        running = self.running
        assert self.ledger.next(self.now) is running
        assert self.ledger.wait == self.pause
        assert self.ledger.undone == len(self.good)
        assert len(self.ledger.failures) == len(self.bad)
        assert self.ledger.interrupt is self.control
        assert abs(self.ledger.left(self.now) - max(0.0, SECONDS - self.passed)) < 1e-9
        late = [each for each in self.ledger.failures if isinstance(each, DeadlineExceeded)]
        assert len(late) == len(self.late)
        waiting = sum(isinstance(task, Undo) for _, task in self.queue)
        assert len(self.good) + len(self.bad) + waiting == self.ledger.total

    def teardown(self) -> None:
        """Whatever happened, exactly one error comes out and nothing of it is left behind."""
        if not hasattr(self, "ledger"):
            return
        original = ValueError()
        outcome = self.ledger.outcome(original, raise_original=False)
        if self.control is not None:
            assert outcome is self.control
        elif self.bad:
            assert isinstance(outcome, CompensationError)
            assert (len(outcome.failures), outcome.undone) == (len(self.bad), len(self.good))
        else:
            assert outcome is None
            assert len(original.__notes__) == 1


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
