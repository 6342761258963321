"""Random races beside what must hold of each: one answer, nobody left, every other value closed once (L3, G2)."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoup.strategies.hedge import crew
from recoup.strategies.hedge.strategy import hedge
from recoup.testing import VirtualClock, VirtualEventLoop


class Answer(NamedTuple):
    """What one attempt does: how long it takes, whether it succeeds, and whether it ignores its first cancellation."""

    seconds: float
    succeeds: bool
    careless: bool


class Closeable:
    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


class Scene:
    """One call with its attempts."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.running = 0
        self.calls = 0
        self.made: list[Closeable] = []

    async def work(self) -> Closeable:
        answer = self.answers[self.calls]
        self.calls += 1
        self.running += 1
        try:
            try:
                await asyncio.sleep(answer.seconds)
            except asyncio.CancelledError:
                if not answer.careless:
                    raise
                await asyncio.sleep(answer.seconds)
            if not answer.succeeds:
                raise OSError(self.calls)
            self.made.append(Closeable())
            return self.made[-1]
        finally:
            self.running -= 1


# Attempts end in one tick, but not in the very tick in which the next one is due: who is first then is not promised.
ANSWERS = st.builds(Answer, st.sampled_from([0.0, 0.5, 1.5, 2.5, 7.5]), st.booleans(), st.booleans())


@pytest.mark.filterwarnings("error")
@settings(max_examples=300)
@given(
    answers=st.lists(ANSWERS, min_size=3, max_size=3),
    cancel=st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.2, 1.5, 2.0, 2.1, 3.0]),
    grace=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_random_race(answers: list[Answer], cancel: float | None, grace: float) -> None:
    """Whatever the attempts and the caller do, there is one outcome, and nothing of the others is left."""
    scene = Scene(answers)
    strategy = hedge(idempotent=True, delay=1, max_attempts=3, grace=grace)

    async def main() -> Any:
        task = asyncio.ensure_future(strategy.execute(scene.work))
        if cancel is not None:
            asyncio.get_running_loop().call_later(cancel, task.cancel)
        await asyncio.wait([task])
        await asyncio.sleep(100)  # whatever was left behind has ended
        return None if task.cancelled() else (task.exception() or task.result())

    with VirtualClock(), asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        outcome = runner.run(main())
    assert scene.running == 0
    assert not crew._left_behind
    for value in scene.made:
        assert value.closed == (0 if value is outcome else 1)
    if cancel is None:
        best = expected(answers)
        assert isinstance(outcome, OSError if best is None else Closeable)
    elif isinstance(outcome, Closeable):
        assert outcome in scene.made


def expected(answers: list[Answer]) -> float | None:
    """Tell when the first success comes if nobody cancels; `None` if all attempts fail."""
    starts = [0.0]
    while len(starts) < len(answers):
        ends = [start + answer.seconds for start, answer in zip(starts, answers, strict=False)]
        won = [end for end, answer in zip(ends, answers, strict=False) if answer.succeeds]
        due = starts[-1] + 1
        if (won and min(won) <= due) or max(ends) <= due:
            return min(won) if won and min(won) <= due else None
        starts.append(due)
    won = [start + answer.seconds for start, answer in zip(starts, answers, strict=True) if answer.succeeds]
    return min(won) if won else None
