"""Meter: measures calls, for a limit that adapts and for histograms. Only bulkheads that were asked for them have one.

What it learns goes to the gate as a note, so that a call which a finaliser ends waits for no lock (G7). A call brings
what it has measured to where that was kept when it began: after a reset nobody looks there any more.
"""

from __future__ import annotations

from typing import NamedTuple

from recoup._core import clock, conditions, mode, timing, waiting
from recoup._core.chain import Pending
from recoup.strategies.bulkhead.histogram import Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.strategy import Strategy
    from recoup.strategies.bulkhead.config import BulkheadConfig
    from recoup.strategies.bulkhead.limits import Learner
    from recoup.strategies.bulkhead.state import Gate
    from recoup.strategies.bulkhead.tickets import Place

__all__ = ["Meter", "Run"]

_NOT_OURS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Lesson(NamedTuple):
    """What learns from calls, from one beginning on.

    Attributes:
        learner: Learns.
        dropped: Tells whether an error means that a call was dropped.
    """

    learner: Learner
    dropped: Callable[[BaseException], bool]


class Meter:
    """What measures the calls of one bulkhead.

    Args:
        gate: Its gate.
        config: Its config.

    Attributes:
        limit: What was learnt last; `max_concurrent` to begin with.
        lesson: What learns, if anything does; another one when it begins anew.
        waited: Records how long calls wait, if anybody wants to know.
        ran: Records how long they run.
    """

    def __init__(self, gate: Gate, config: BulkheadConfig) -> None:
        self.gate = gate
        self.waited: Recorder | None = None
        self.ran: Recorder | None = None
        self.begin_anew(config)
        self._blocks: dict[int, Run] = {}  # by the id of their places, which nobody may hold here: see blocks.py
        waiting.at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked child; what the limit has learnt stays."""
        for recorder in (self.waited, self.ran):
            if recorder is not None:
                recorder.begin_anew()
        self._blocks.clear()

    def begin_anew(self, config: BulkheadConfig) -> None:
        """Forget what was recorded and learnt."""
        if config.histograms:
            self.waited, self.ran = Recorder(), Recorder()
        self.adapt(config)

    def adapt(self, config: BulkheadConfig) -> None:
        """Begin to learn."""
        adaptive = config.adaptive
        self.limit = config.max_concurrent
        self.lesson: Lesson | None = None
        if adaptive is not None:
            self.lesson = Lesson(adaptive.start(self.limit), conditions.some("drop_on", adaptive.drop_on))

    def learn(self, lesson: Lesson, seconds: float, inside: int, *, dropped: bool) -> None:
        """Take a call into account, and change the limit of the gate."""
        self.gate.note(self._learnt, (lesson, seconds, inside, dropped))

    def _learnt(self, gate: Gate, call: tuple[Lesson, float, int, bool]) -> None:
        lesson, seconds, inside, dropped = call
        if lesson is not self.lesson:
            return
        self.limit = lesson.learner.learn(seconds, inside, dropped=dropped)
        if self.limit != gate.seats.limit:
            gate.seats.resize(self.limit)

    def begin(self, outer: tuple[Strategy, ...]) -> Run:
        """Note that a call begins.

        Args:
            outer: The layers outside the bulkhead in the same stack, one of which may cut the call off.
        """
        return Run(self, outer)

    def entered(self, place: Place) -> None:
        """Note that a block begins."""
        self._blocks[id(place)] = Run(self, ())

    def left(self, place: Place, error: BaseException | None) -> None:
        """Note that a block ends."""
        run = self._blocks.pop(id(place), None)
        if run is None:  # it was entered before the process forked
            return
        if error is None:
            run.ended(None)
        else:
            run.failed(error)


class Run:
    """One call that is measured."""

    __slots__ = ("_began", "_inside", "_lesson", "_meter", "_outer", "_ran")

    def __init__(self, meter: Meter, outer: tuple[Strategy, ...]) -> None:
        self._meter = meter
        self._lesson = meter.lesson
        self._ran = meter.ran
        self._outer = outer
        self._inside = meter.gate.seats.inside()
        self._began = clock.monotonic()

    def ended(self, result: Any) -> None:
        """Note that the call returned something; an awaitable has still to be awaited, and tells nothing yet (G5)."""
        if not hasattr(type(result), "__await__"):
            self._record(learns=True)

    def failed(self, error: BaseException) -> None:
        """Note that the call failed. Only a drop teaches something: an error may be quick whatever the load is."""
        if isinstance(error, Pending):  # the pass that awaits comes next, and is measured itself
            return
        if isinstance(error, Exception):
            dropped = self._lesson is not None and self._lesson.dropped(error)
        else:
            dropped = bool(self._outer) and not isinstance(error, _NOT_OURS) and timing.struck_in(self._outer)
        self._record(learns=dropped, dropped=dropped)

    def _record(self, *, learns: bool, dropped: bool = False) -> None:
        seconds = clock.monotonic() - self._began
        if mode.active and mode.off():
            return
        if self._ran is not None:
            self._ran.add(seconds)
        if learns and seconds > 0 and self._lesson is not None:
            self._meter.learn(self._lesson, seconds, self._inside, dropped=dropped)
