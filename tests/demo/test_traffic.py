"""The traffic: the same callers for both clients, and one judgement for both."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from recoup.demo.clients import Price
from recoup.demo.figures import Account, Outcome
from recoup.demo.script import Phase
from recoup.demo.stage import Stage
from recoup.demo.traffic import Side, arrivals, drive

if TYPE_CHECKING:
    from recoup.testing import VirtualClock

PHASES = (Phase("one", "one", "", 2.0), Phase("two", "two", "", 1.0))


def test_callers_come_as_often_as_asked_and_within_the_phase() -> None:
    """A thousand seconds at ten a second bring about ten thousand callers, in order."""
    drawn = arrivals(1000.0, 10.0, random.Random(1))
    assert 9_700 < len(drawn) < 10_300
    assert [each.at for each in drawn] == sorted(each.at for each in drawn)
    assert drawn[0].at >= 0
    assert drawn[-1].at < 1000.0


def test_the_same_seed_brings_the_same_callers() -> None:
    """The schedule depends on its seed alone."""
    assert arrivals(5.0, 10.0, random.Random(3)) == arrivals(5.0, 10.0, random.Random(3))
    assert arrivals(5.0, 10.0, random.Random(3)) != arrivals(5.0, 10.0, random.Random(4))


async def test_every_side_gets_the_same_callers_at_the_same_time(clock: VirtualClock) -> None:
    """Both clients are asked for the same items at the same moments, whatever became of the calls before."""
    asked: dict[str, list[tuple[float, int]]] = {"quick": [], "stuck": []}
    now = asyncio.get_running_loop().time

    async def quick(item: int) -> Price:
        asked["quick"].append((now(), item))
        return Price(item, 1, len(asked["quick"]))

    async def stuck(item: int) -> Price:
        asked["stuck"].append((now(), item))
        await asyncio.sleep(60)
        raise TimeoutError

    sides = [Side(quick, Account()), Side(stuck, Account())]
    entered = []
    begin = now()
    stage = Stage(PHASES, now)
    await drive(stage, sides, rate=20.0, seed=1, enter=lambda phase: entered.append((phase.name, now() - begin)))
    assert asked["quick"] == asked["stuck"]
    assert 30 < len(asked["quick"]) < 90
    assert entered == [("one", 0.0), ("two", pytest.approx(2.0))]
    assert sides[0].account.count(Outcome.SUCCESS) == sides[1].account.count(Outcome.FAILED) == len(asked["quick"])
    assert sides[1].account.percentile(0.5) == pytest.approx(60.0)
    assert sides[1].account.running == 0
    assert min(at for at, _ in asked["stuck"]) >= begin


async def test_a_process_that_was_kept_from_running_makes_up_for_nothing(clock: VirtualClock) -> None:
    """A second without running stops the time of the script: no burst of calls follows, and none is left out."""
    now = asyncio.get_running_loop().time
    asked: list[float] = []
    gone = 0.0

    async def fetch(item: int) -> Price:
        nonlocal gone
        asked.append(now())
        gone = 1.0 if len(asked) >= 10 else 0.0
        return Price(item, 1, len(asked))

    calm = Stage(PHASES, now)
    await drive(calm, [Side(fetch, Account())], rate=20.0, seed=1, enter=lambda phase: None)
    expected, asked[:], gone = [at - asked[0] for at in asked], [], 0.0
    held = Stage(PHASES, lambda: now() + gone)
    await drive(held, [Side(fetch, Account())], rate=20.0, seed=1, enter=lambda phase: None)
    assert [at - asked[0] for at in asked] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        ([Price(1, 5, 1), Price(1, 5, 2)], [Outcome.SUCCESS, Outcome.SUCCESS]),
        ([Price(1, 5, 1), Price(1, 5, 1)], [Outcome.SUCCESS, Outcome.DEGRADED]),
        ([Price(0, 0, 0)], [Outcome.DEGRADED]),
        ([ConnectionError(), Price(1, 5, 1)], [Outcome.FAILED, Outcome.SUCCESS]),
    ],
)
async def test_only_a_new_answer_of_the_service_is_a_success(
    answers: list[Price | Exception], outcomes: list[Outcome]
) -> None:
    """An answer given before and a placeholder are degraded, an exception is a failure: the same for every client."""
    left = iter(answers)

    async def fetch(item: int) -> Price:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    account = Account()
    side = Side(fetch, account)
    for index, outcome in enumerate(outcomes):
        await side.call(str(index), 1, 0.0)
        assert account.count(outcome, str(index)) == 1


async def test_a_cancelled_call_is_cancelled_and_not_counted() -> None:
    """Ctrl-C reaches every call; it is nobody's failure (G2)."""

    async def fetch(item: int) -> Price:
        raise asyncio.CancelledError

    account = Account()
    with pytest.raises(asyncio.CancelledError):
        await Side(fetch, account).call("one", 1, 0.0)
    assert account.count() == 0
