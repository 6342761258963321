"""The two ways to count, one decision at a time (L1)."""

from __future__ import annotations

import dis
import math
from typing import Any

import pytest

from recoup import RateLimitConfig
from recoup.strategies.rate_limit.line import Line
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.window import SLICES, Window

FOREVER = math.inf


def bucket(rate: int = 1, burst: int = 1, per: float = 1.0, now: float = 100.0) -> Any:
    return Bucket(RateLimitConfig(rate=rate, per=per, burst=burst), now)


def window(rate: int = 3, per: float = 20.0, now: float = 100.0) -> Any:
    return Window(RateLimitConfig(rate=rate, per=per, mode="window"), now)


def come(state: Any, now: float, weight: int = 1) -> Any:
    """Take permits, or stand in the line for them; give the turn, `None` if they were there."""
    state.correct(now)
    if state.take(weight, now):
        return None
    line = state.line
    if line is None:
        line = state.line = Line(state, lambda turn: None)
    turn = line.join(line._end, weight, now, line.estimate(weight, now), None)
    turns.append(turn)
    return turn


turns: list[Any] = []  # of all states, the newest last


def waits(state: Any, now: float, times: int, weight: int = 1) -> list[float]:
    found = []
    for _ in range(times):
        turn = come(state, now, weight)
        found.append(0.0 if turn is None else round(turn.due - now, 6))
    return found


def test_permits_are_counted_whole() -> None:
    """A burst of so many is so many, however long the machine has been up; intervals that are added up drift."""
    many = 30_000
    now = 30_000_000.1
    whole = bucket(rate=many, burst=many, per=0.03, now=now)
    assert sum(whole.admit(now) for _ in range(many + 3)) == many
    step, tat, naive = 0.03 / many, 0.0, 0
    for _ in range(many + 3):
        moment = max(tat, now) + step
        if moment - many * step <= now:
            tat, naive = moment, naive + 1
    assert naive != many


def test_admit_and_take_and_reserve_agree() -> None:
    """The three ways to a permit that is there are one, and so are those to one that is not."""
    ways: list[Any] = [
        lambda state, now: state.admit(now),
        lambda state, now: state.take(1, now),
        lambda state, now: not state.wait(1, now) and state.begin(1, now) is None,
    ]
    states = [bucket(rate=2, burst=3) for _ in ways]
    for now in (100, 100.1, 100.2, 100.3, 100.5, 100.9, 101, 105, 105, 105, 105, 105.49, 105.5, 105.5):
        answers = [way(state, now) for way, state in zip(ways, states, strict=True)]
        assert len(set(answers)) == 1, (now, answers)
        assert len({state.available(now) for state in states}) == 1


CALLS_OR_LOOPS = ("CALL", "JUMP_BACKWARD", "RESUME", "SEND", "YIELD", "FOR_ITER", "PRECALL", "IMPORT", "WITH")


def handing_over(method: Any, attribute: str = "_taken") -> list[str]:
    """List what may hand over the GIL between the first reading of an attribute and its last writing."""
    code = list(dis.get_instructions(method))
    begin = next(i for i, each in enumerate(code) if each.opname == "LOAD_ATTR" and each.argval == attribute)
    end = max(i for i, each in enumerate(code) if each.opname == "STORE_ATTR" and each.argval == attribute)
    assert begin < end
    return [each.opname for each in code[begin:end] if any(word in each.opname for word in CALLS_OR_LOOPS)]


def test_deciding_never_hands_over_the_gil() -> None:
    """Between reading the state and writing it there is no call and no loop, so no other thread comes between (G7)."""
    assert handing_over(Bucket.admit) == []
    assert handing_over(Bucket.take) == []
    assert handing_over(Bucket.begin) == []

    class Naive:
        def __init__(self) -> None:
            self._taken = 0

        def admit(self, now: float) -> None:
            self._taken = max(self._taken, int(now))

    assert handing_over(Naive.admit) != []


def test_moments_in_order() -> None:
    """Who has to wait is told for how long at once; moments follow each other, whatever a call weighs (L1)."""
    state = bucket(rate=10, burst=10)
    assert waits(state, 100.0, 2, weight=7) == [0.0, 0.4]
    assert waits(state, 100.0, 3) == [0.5, 0.6, 0.7]
    assert not state.admit(100.65)
    assert not state.take(1, 100.65)
    assert waits(state, 100.7, 1) == [0.1]


def test_what_is_asked_takes_nothing() -> None:
    """To tell when permits will be there changes nothing (L1)."""
    for state in (bucket(), window(rate=1, per=1.0)):
        assert state.take(1, 100.0)
        for _ in range(3):
            assert state.wait(1, 100.0) == 1.0
        assert state.take(1, 101.0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_all_that_is_given_back_comes_back(order: tuple[int, ...]) -> None:
    """Turns that are given back in any order leave the state as if they had never been there (L1)."""
    for state in (bucket(), window(rate=1, per=1.0)):
        assert state.take(1, 100.0)
        row = [come(state, 100.0) for _ in range(3)]
        for number in order:
            state.line.leave(row[number], 100.0)
            state.line.leave(row[number], 100.0)
        assert state.queued == 0
        assert state.line._turns == []
        assert state.take(1, 101.0)
        assert waits(state, 101.0, 1) == [1.0]


def test_nobody_goes_before_those_who_wait() -> None:
    """While anybody waits, nobody new gets a permit, however many there are (L1)."""
    for state in (bucket(burst=5), window(rate=5, per=1.0)):
        assert state.take(5, 100.0)
        come(state, 100.0)
        assert not state.take(1, 200.0)
        assert state.available(200.0) == 0
        if isinstance(state, Bucket):
            assert not state.admit(200.0)
        assert state.line.look(turns[-1], 200.0) == 0.0
        assert state.available(200.0) == 4


def test_a_full_bucket_holds_no_more() -> None:
    """Whoever begins late takes from no more permits than `burst`; a little late is forgiven (L1)."""
    state = bucket(burst=2)
    assert state.take(2, 100.0)
    turn = come(state, 100.0)
    assert state.line.look(turn, 200.0) == 0.0
    assert state.available(200.0) == 1
    exact = bucket(burst=1)
    for late, next_one in ((0.0, 101.0), (0.0009, 101.0), (0.0011, 101.0011)):
        state = bucket(burst=1, now=99.0)
        assert state.take(1, 99.0)
        state.begin(1, 100.0 + late)
        assert state.wait(1, 100.5) == pytest.approx(next_one - 100.5)
    assert exact.available(100.0) == 1


def test_turns_that_are_over_are_forgotten() -> None:
    """The line holds no more than twice those who stand there: coming and leaving for ever takes no memory."""
    for state in (bucket(rate=10), window(rate=1)):
        assert state.take(1, 100.0)
        first = come(state, 100.0)
        for _ in range(1000):
            state.line.leave(come(state, 100.0), 100.0)
            assert len(state.line._turns) <= 40
        assert state.queued == 1
        state.line.leave(first, 100.0)
        assert state.line._turns == []


def test_a_window_counts_from_any_moment() -> None:
    """A fixed window lets twice as many through round its edge; this one does not (L1)."""

    class Fixed:
        def __init__(self) -> None:
            self.number, self.count = -1, 0

        def take(self, _: int, now: float) -> bool:
            if int(now // 20) != self.number:
                self.number, self.count = int(now // 20), 0
            self.count += 1
            return self.count <= 3

    for state, most in ((window(), 3), (Fixed(), 6)):
        times = [119.9] * 5 + [120.1] * 5
        assert sum(state.take(1, now) for now in times) == most


def test_a_window_is_exact_for_calls_that_are_apart() -> None:
    """A permit that was taken alone counts exactly as long as the window is (L1)."""
    state = window()
    assert all(state.take(1, now) for now in (100, 102, 104))
    assert waits(state, 105.0, 3) == [15.0, 17.0, 19.0]


def test_a_window_holds_permits_at_most_a_slice_too_long() -> None:
    """Many calls that begin within a 20th of the window count until the last of them is over, and no longer (L1)."""
    few = window(rate=SLICES)
    assert all(few.take(1, 100 + number / 100) for number in range(SLICES))
    assert waits(few, 101.0, 2) == [19.0, 19.01]
    many = window(rate=2 * SLICES)
    assert all(many.take(1, 100 + number / 25) for number in range(2 * SLICES))
    assert waits(many, 102.0, 2) == [18.0, 18.04]
    assert many.wait(SLICES, 102.0) == pytest.approx(100 + 39 / 25 + 20 - 102)


@pytest.mark.parametrize("per", [0.001, 1.0, 86_400.0])
def test_a_window_takes_fixed_memory(per: float) -> None:
    """Slices are bounded, whatever the window and the traffic (L1)."""
    state = window(rate=100_000, per=per)
    for turn in range(4_000):
        state.take(30, 100 + per * turn / 1000)
        assert len(state._slices) <= 2 * SLICES + 1


def test_what_is_told_to_those_who_wait_for_a_window() -> None:
    """Each is told the moment at which enough of those before it stop to count, however many windows ahead (L1)."""
    for rate in (1, 4, 2000):
        state = window(rate=rate, per=1.0)
        assert state.take(rate, 100.0)
        assert waits(state, 100.0, 2 * rate) == [1.0] * rate + [2.0] * rate


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([4] * 4, [1.0, 1.0, 2.0, 2.0]),  # two of them fit into a window of ten, although 12 // 4 is three
        ([3] * 7, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0]),
        ([7, 7, 7], [1.0, 2.0, 3.0]),
        ([10, 1, 10], [1.0, 2.0, 3.0]),
        ([1, 10, 1], [1.0, 2.0, 3.0]),
        ([6, 5] * 5, [float(number) for number in range(1, 11)]),
        ([1] * 9 + [6, 5], [1.0] * 9 + [2.0, 3.0]),
    ],
)
def test_weights_that_do_not_fill_a_window(weights: list[int], told: list[float]) -> None:
    """Nobody is told a moment at which it cannot begin yet because of the room that those before it leave (L1)."""
    state = window(rate=10, per=1.0)
    assert state.take(10, 100.0)
    row = [come(state, 100.0, weight) for weight in weights]
    assert [turn.due - 100.0 for turn in row] == told
    now, began = 100.0, []
    for turn in row:
        while wait := state.line.look(turn, now):
            now += wait
        began.append(now - 100.0)
    assert all(real <= moment for real, moment in zip(began, told, strict=True))


@pytest.mark.parametrize("make", [bucket, lambda: window(rate=1, per=1.0)])
@pytest.mark.parametrize("reserved", [False, True])
def test_a_clock_that_goes_backwards(make: Any, reserved: bool) -> None:
    """Nobody waits for the time that a clock went back: what is left of a wait stays left of it (G12)."""
    state = make()
    assert state.take(1, 100.0)
    assert state.take(1, 7100.0)
    if reserved:
        assert waits(state, 7100.0, 1) == [1.0]
    assert waits(state, 3500.0, 1) == [2.0 if reserved else 1.0]
    assert turns[-1].due == (3502.0 if reserved else 3501.0)
    assert state.available(3500.0) == 0


@pytest.mark.parametrize("make", [bucket, lambda: window(rate=1, per=1.0)])
def test_a_clock_that_goes_backwards_goes_back_once(make: Any) -> None:
    """A clock that went back is seen to once, also by calls that leave then (G12)."""
    state = make()
    assert state.take(1, 7100.0)
    turn = come(state, 7100.0)
    for _ in range(3):
        state.correct(3500.0)
        assert turn.due == pytest.approx(3501.0)
        assert state.wait(1, 3500.0) == pytest.approx(1.0)
    state.line.leave(turn, 1000.0)
    assert waits(state, 1000.0, 2) == [1.0, 2.0]


def test_a_clock_that_goes_backwards_in_a_busy_time() -> None:
    """The same when the bucket has not been full for long, and calls came at once last (G12)."""
    state = bucket(rate=1, burst=2)
    assert state.take(1, 100.0)
    for turn in range(4000):
        assert state.take(1, 100.0 + turn)
    assert state._since == 100.0
    assert waits(state, 1000.0, 3) == [1.0, 2.0, 3.0]
    state.correct(500.0)
    assert waits(state, 500.0, 1) == [4.0]
    state.correct(50.0)
    state.reconfigure(RateLimitConfig(rate=1, burst=2), 50.0)
    assert waits(state, 50.0, 1) == [5.0]


def test_a_call_between_looking_back_and_mending_it() -> None:
    """A call that comes at once while a clock that went back is seen to is not undone (G7, G12)."""

    class Meddling(Bucket):
        __slots__ = ("step",)

        @property
        def _step(self) -> float:
            if self._since == 1000.0:
                self._since, self._taken = 500.0, 3
            return 1.0

        @_step.setter
        def _step(self, step: float) -> None:
            self.step = step

    state = Meddling(RateLimitConfig(rate=1, burst=5), 1000.0)
    state.correct(500.0)
    assert (state._since, state._taken) == (500.0, 3)


def test_idle() -> None:
    """A state is idle when beginning anew would lose nothing."""
    full, empty = bucket(rate=2, burst=4), window()
    assert full.idle(100.0)
    assert empty.idle(100.0)
    assert full.take(3, 100.0)
    assert empty.take(1, 100.0)
    assert not full.idle(101.4)
    assert not empty.idle(119.9)
    assert full.idle(101.5)
    assert empty.idle(120.0)


def test_available() -> None:
    """What could be taken now is told, and looking changes nothing."""
    full, empty = bucket(rate=2, burst=4), window()
    for state, most in ((full, 4), (empty, 3)):
        assert state.available(100.0) == most
        assert state.take(2, 100.0)
        assert state.available(100.0) == most - 2
    assert (full.available(100.5), full.available(900.0)) == (3, 4)
    assert (empty.available(119.9), empty.available(120.0)) == (1, 3)
    assert full.take(2, 100.0)
    assert empty.take(1, 100.0)
    for state in (full, empty):
        come(state, 100.0)
        assert state.available(100.0) == 0
        assert not state.idle(1000.0)


@pytest.mark.parametrize(
    ("taken", "changes", "expected"),
    [
        (0, {"rate": 2, "burst": 9}, [0.0, 0.0, 0.0, 0.0, 0.5]),
        (0, {"rate": 2, "burst": 2}, [0.0, 0.0, 0.5, 1.0]),
        (4, {"rate": 4}, [0.25, 0.5]),
        (3, {"rate": 1, "burst": 1, "per": 2.0}, [0.0, 2.0, 4.0]),
    ],
)
def test_another_rate(taken: int, changes: dict[str, Any], expected: list[float]) -> None:
    """What was taken stays taken, and from there on the new rate holds (B5's way)."""
    config: dict[str, Any] = {"rate": 1, "burst": 4}
    state = Bucket(RateLimitConfig(**config), 100.0)
    for _ in range(taken):
        assert state.take(1, 100.0)
    state.reconfigure(RateLimitConfig(**{**config, **changes}), 100.0)
    assert waits(state, 100.0, len(expected)) == expected


def test_another_rate_in_between() -> None:
    """A part of a permit that has come in is kept."""
    state = bucket(rate=1, burst=1)
    assert state.take(1, 100.0)
    state.reconfigure(RateLimitConfig(rate=2, burst=1), 100.5)
    assert waits(state, 100.5, 2) == [0.25, 0.75]


@pytest.mark.parametrize("make", [lambda: bucket(rate=10, burst=10), lambda: window(rate=10)])
def test_a_call_that_weighs_more_than_there_can_be_now(make: Any) -> None:
    """Limits that become smaller let those who wait take all there is, or they would wait for ever (B5's way)."""
    state = make()
    assert state.take(10, 100.0)
    turn = come(state, 100.0, 8)
    smaller: dict[str, Any] = {"burst": 3} if isinstance(state, Bucket) else {"mode": "window", "per": 20.0}
    state.reconfigure(RateLimitConfig(rate=3, **smaller), 100.0)
    wait = state.line.look(turn, 100.0)
    assert wait == pytest.approx(1.0 if isinstance(state, Bucket) else 20.0)
    assert state.line.look(turn, 100.0 + wait) == 0.0
    assert state.available(100.0 + wait) == 0
    assert state.queued == 0


def test_a_call_while_the_rate_changes() -> None:
    """A permit that is taken without the lock while the rate changes is not lost (G7)."""
    state = bucket(rate=1, burst=4)

    real = math.floor
    meddled: list[bool] = []

    def floor(value: float) -> int:
        if not meddled:
            meddled.append(state.admit(100.0))
        return real(value)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(math, "floor", floor)
        state.reconfigure(RateLimitConfig(rate=1, burst=4), 100.0)
    assert meddled == [True]
    assert state.available(100.0) == 3


def test_another_window() -> None:
    """What was taken counts for the new window."""
    state = window(rate=3)
    assert state.take(2, 100.0)
    state.reconfigure(RateLimitConfig(rate=5, per=10.0, mode="window"), 105.0)
    assert state.available(105.0) == 3
    assert waits(state, 105.0, 2, weight=2) == [0.0, 5.0]
    state.line.leave(turns[-1], 105.0)
    state.reconfigure(RateLimitConfig(rate=5, per=1000.0, mode="window"), 200.0)
    assert state.available(200.0) == 5


def test_those_who_waited_are_gone() -> None:
    """In a forked child nobody waits; what was taken stays taken; who is there all the same looks again (G18)."""
    for state in (bucket(), window(rate=1, per=1.0)):
        assert state.take(1, 100.0)
        row = [come(state, 100.0) for _ in range(5)]
        state.line.desert()
        assert (state.queued, state.line._turns) == (0, [])
        assert waits(state, 100.5, 1) == [0.5]
        assert state.line.look(row[1], 100.6) == pytest.approx(0.4)
        assert state.line.look(row[0], 100.6) == pytest.approx(0.4)
        assert state.line.look(row[0], 101.0) == 0.0


def test_begin_anew() -> None:
    """After a reset all permits are there; who waits keeps the place (B5's way)."""
    for state in (bucket(burst=2), window(rate=2)):
        assert state.take(2, 100.0)
        row = [come(state, 100.0) for _ in range(2)]
        state.reset(100.0)
        assert not state.take(1, 100.0)
        assert state.line.look(row[0], 100.0) == 0.0
        assert state.line.look(row[1], 100.0) == 0.0
        assert not state.take(1, 100.0)
