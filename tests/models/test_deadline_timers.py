"""The one timer of a loop beside a plain model: every call ends by what comes first, and only by that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from recoup._core import scopes
from recoup.errors import DeadlineExceeded
from recoup.testing import VirtualClock, VirtualEventLoop
from tests.core.limited import limited


@dataclass
class Call:
    """One call: its task, the deadlines round it (outermost first), and how the model says it ended."""

    strikes: list[float]
    task: asyncio.Task[Any] = field(init=False)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str | float | None = None


class Timers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(start=100)
        self.clock.__enter__()
        self.loop = VirtualEventLoop()
        self.calls: list[Call] = []

    def teardown(self) -> None:
        for call in self.calls:
            call.task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.clock.__exit__(None, None, None)

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for _ in range(6):  # whatever is due takes its last steps
            self.loop.run_until_complete(asyncio.sleep(0))

    @rule(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3))
    def start(self, lengths: list[int]) -> None:
        now = self.clock.monotonic()
        call = Call([now + length for length in lengths])
        fn = limited(call.release.wait, lengths[-1], f"{lengths[-1]}")
        for length in reversed(lengths[:-1]):
            fn = limited(fn, length, f"{length}")
        call.task = self.loop.create_task(fn())
        self.calls.append(call)
        self.run(0)

    @rule(which=st.integers(0, 50))
    def release(self, which: int) -> None:
        running = [call for call in self.calls if call.ended is None]
        if running:
            call = running[which % len(running)]
            call.ended = "value"
            call.release.set()
            self.run(0)

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        running = [call for call in self.calls if call.ended is None]
        if running:
            call = running[which % len(running)]
            call.ended = "cancelled"
            call.task.cancel()
            self.run(0)

    @rule(seconds=st.integers(1, 7))
    def wait(self, seconds: int) -> None:
        self.run(seconds)
        for call in self.calls:
            if call.ended is None and min(call.strikes) <= self.clock.monotonic():
                call.ended = min(call.strikes)

    @invariant()
    def every_call_ended_as_it_should(self) -> None:
        for call in self.calls:
            assert call.task.done() == (call.ended is not None)
            if call.ended == "value":
                assert call.task.result() is True
            elif call.ended == "cancelled":
                assert call.task.cancelled()
            elif call.ended is not None:
                assert isinstance(call.task.exception(), DeadlineExceeded)
            if call.ended != "cancelled":
                assert call.task.cancelling() == 0

    @invariant()
    def the_timer_is_set_for_the_first(self) -> None:
        pending = [handle.when() for handle in self.loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        running = [min(call.strikes) for call in self.calls if call.ended is None]
        assert pending == ([min(running)] if running else [])
        watch = scopes._here.watch()
        kept = [] if watch is None or watch.loop is not self.loop else [*watch._fresh, *watch._heap]
        assert len(kept) <= 3 * len(running) + 2 * scopes._FEW


Timers.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTimers = Timers.TestCase
