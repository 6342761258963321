"""The two ways to count, one decision at a time (L1)."""

from __future__ import annotations

import dis
import math
from typing import Any

import pytest

from recoup import RateLimitConfig
from recoup.strategies.rate_limit.claims import Claim
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.window import SLICES, Slice, Window

FOREVER = math.inf


def bucket(rate: int = 1, burst: int = 1, per: float = 1.0, now: float = 100.0) -> Bucket:
    return Bucket(RateLimitConfig(rate=rate, per=per, burst=burst), now)


def window(rate: int = 3, per: float = 20.0, now: float = 100.0) -> Window:
    return Window(RateLimitConfig(rate=rate, per=per, mode="window"), now)


def waits(state: Any, now: float, times: int, weight: int = 1) -> list[float]:
    return [round(state.reserve(weight, now, FOREVER, FOREVER).wait, 6) for _ in range(times)]


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
        lambda state, now: state.reserve(1, now, 0.0, FOREVER).granted,
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
    assert handing_over(Bucket.reserve) == []
    assert handing_over(Bucket.cancel) == []

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


def test_a_refusal_takes_nothing() -> None:
    """What does not fit is told when it would, and changes nothing (L1)."""
    for state in (bucket(), window(rate=1, per=1.0)):
        assert state.take(1, 100.0)
        for max_wait, left in ((0.5, FOREVER), (FOREVER, 0.5), (FOREVER, 1.0)):
            claim = state.reserve(1, 100.0, max_wait, left)
            assert (claim.granted, claim.wait) == (False, 1.0)
        assert state.reserve(1, 100.0, 1.0, 1.1).granted


def test_a_permit_that_is_there_needs_no_time() -> None:
    """Whoever need not wait is not refused for lack of time (L1)."""
    for state in (bucket(), window()):
        assert state.reserve(1, 100.0, 0.0, 0.0).granted


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_all_that_is_given_back_comes_back(order: tuple[int, ...]) -> None:
    """Claims that are cancelled in any order leave the state as if they had never been made (L1)."""
    for state in (bucket(), window(rate=1, per=1.0)):
        assert state.take(1, 100.0)
        claims = [state.reserve(1, 100.0, FOREVER, FOREVER) for _ in range(3)]
        for number in order:
            state.cancel(claims[number], 100.0)
        assert state.take(1, 101.0)
        assert waits(state, 101.0, 1) == [1.0]


def test_given_back_once() -> None:
    """A claim that is cancelled a second time gives nothing (G2)."""
    state = bucket(burst=3)
    assert state.take(3, 100.0)
    claim = state.reserve(1, 100.0, FOREVER, FOREVER)
    state.reserve(1, 100.0, FOREVER, FOREVER)
    state.cancel(claim, 100.0)
    state.cancel(claim, 100.0)
    assert waits(state, 100.0, 1) == [3.0]


def test_nobody_goes_before_those_who_were_promised_a_moment() -> None:
    """A claim in the middle of the row is not handed to somebody new: the others would be overtaken (L1)."""
    for state in (bucket(), window(rate=1, per=1.0)):
        assert state.take(1, 100.0)
        claims = [state.reserve(1, 100.0, FOREVER, FOREVER) for _ in range(3)]
        state.cancel(claims[0], 100.0)
        assert waits(state, 100.0, 1) == [4.0]


def test_a_moment_that_has_passed_is_given_back_if_nobody_came_since() -> None:
    """A call that is cancelled in the last moment, at its turn, leaves its permit for the next one (L1)."""
    state = bucket()
    assert state.take(1, 100.0)
    claim = state.reserve(1, 100.0, FOREVER, FOREVER)
    state.cancel(claim, 101.0)
    assert state.take(1, 101.0)
    assert not state.take(1, 101.0)
    late = state.reserve(1, 101.0, FOREVER, FOREVER)
    assert state.reserve(1, 110.0, FOREVER, FOREVER).wait == 0
    state.cancel(late, 110.0)
    assert not state.take(1, 110.0)


def test_a_full_bucket_holds_no_more() -> None:
    """What comes back never makes more permits than `burst` (L1)."""
    state = bucket(burst=2)
    assert state.take(2, 100.0)
    claim = state.reserve(1, 100.0, FOREVER, FOREVER)
    state.cancel(claim, 200.0)
    assert state.available(200.0) == 2
    assert state.take(2, 200.0)
    assert not state.take(1, 200.0)


def test_claims_that_are_over_are_forgotten() -> None:
    """The row holds no more than those whose moment is to come: waiting for ever takes no memory."""
    state = bucket(rate=10)
    for turn in range(1000):
        state.reserve(1, 100 + turn / 10, FOREVER, FOREVER)
    assert len(state._row or ()) <= 2
    waits(state, 300.0, 5)
    assert state._row is not None
    assert len(state._row) == 4
    waits(state, 900.0, 3)
    assert len(state._row) == 2


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
    """What begins within a 20th of the window counts until the last of it is over, and no longer (L1)."""
    state = window(rate=2)
    assert state.take(1, 100.0)
    assert state.take(1, 100.9)
    assert waits(state, 101.0, 1) == [19.9]
    later = window(rate=2)
    assert later.take(1, 100.0)
    assert later.take(1, 101.0)
    assert waits(later, 101.0, 1) == [19.0]


@pytest.mark.parametrize("per", [0.001, 1.0, 86_400.0])
def test_a_window_takes_fixed_memory(per: float) -> None:
    """Slices are bounded, whatever the window and the traffic (L1)."""
    state = window(rate=100_000, per=per)
    for turn in range(4_000):
        state.take(30, 100 + per * turn / 1000)
        assert len(state._slices) <= SLICES + 2
    for turn in range(4_000, 8_000):
        state.reserve(30, 100 + per * turn / 1000, 0.0, FOREVER)
        assert len(state._slices) <= SLICES + 2
    for _ in range(3_000):
        state.reserve(70, 100 + per * 8, per, FOREVER)
    assert len(state._slices) <= 2 * (SLICES + 2)


def test_a_window_gives_back_what_is_not_counted_any_more() -> None:
    """A claim whose time is over when it is cancelled changes nothing (L1)."""
    state = window(rate=1, per=1.0)
    assert state.take(1, 100.0)
    claim = state.reserve(1, 100.0, FOREVER, FOREVER)
    assert state.take(1, 105.0)
    state.cancel(claim, 105.0)
    state.cancel(Claim(state, 1, 1.0, granted=True, place=None, era=0.0), 105.0)
    assert not state.take(1, 105.0)
    assert state._total == 1


def test_a_window_keeps_what_is_taken_together_with_a_claim() -> None:
    """A claim that is given back takes nothing with it that others took at the same moment (L1)."""
    state = window(rate=2, per=1.0)
    assert state.take(2, 100.0)
    one, other = (state.reserve(1, 100.0, FOREVER, FOREVER) for _ in range(2))
    assert one.place is other.place
    assert isinstance(one.place, Slice)
    state.cancel(one, 100.0)
    assert waits(state, 100.0, 2) == [1.0001, 2.0001]


def test_those_who_wait_for_the_same_are_told_moments_apart() -> None:
    """Timers that strike together strike in any order, so no two have one moment, and a slice holds them all (L1)."""
    for rate, apart in ((4, 5e-5), (2000, 0.05 / 2000)):
        state = window(rate=rate, per=1.0)
        assert state.take(rate, 100.0)
        moments = [state.reserve(1, 100.0, FOREVER, FOREVER).wait for _ in range(2 * rate)]
        assert moments[:3] == pytest.approx([1.0, 1.0 + apart, 1.0 + 2 * apart], abs=1e-9)
        assert moments == sorted(set(moments))
        assert len(state._slices) == 3
        assert moments[rate - 1] < 1.0 + 1.0 / SLICES
        assert moments[rate] == pytest.approx(1.0 + moments[rate - 1])


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
    assert state.available(3500.0) == 0
    assert waits(state, 3502.5, 2) == ([0.5, 1.5] if reserved else [0.0, 1.0])


@pytest.mark.parametrize("make", [bucket, lambda: window(rate=1, per=1.0)])
def test_a_clock_that_goes_backwards_goes_back_once(make: Any) -> None:
    """A clock that went back is seen to once, also by calls that are refused then, or leave (G12)."""
    state = make()
    assert state.take(1, 7100.0)
    claim = state.reserve(1, 7100.0, FOREVER, FOREVER)
    for _ in range(3):
        assert state.reserve(1, 3500.0, 0.0, FOREVER).wait == pytest.approx(2.0)
    state.cancel(claim, 1000.0)
    for _ in range(3):
        assert state.reserve(1, 1000.0, 0.0, FOREVER).wait == pytest.approx(1.0)


def test_a_clock_that_goes_backwards_in_a_busy_time() -> None:
    """The same when the bucket has not been full for long, and calls came at once last (G12)."""
    state = bucket(rate=1, burst=2)
    assert state.take(1, 100.0)
    for turn in range(4000):
        assert state.take(1, 100.0 + turn)
    assert state._since == 100.0
    assert waits(state, 1000.0, 3) == [1.0, 2.0, 3.0]
    claim = state.reserve(1, 1000.0, FOREVER, FOREVER)
    state.cancel(claim, 500.0)
    assert waits(state, 500.0, 1) == [4.0]
    state.reconfigure(RateLimitConfig(rate=1, burst=2), 50.0)
    assert waits(state, 50.0, 1) == [5.0]


def test_a_call_between_looking_back_and_mending_it() -> None:
    """A call that comes at once while a clock that went back is seen to is not undone (G7, G12)."""
    state = bucket(burst=5)
    assert state.take(1, 1000.0)
    state.reserve(5, 1000.0, FOREVER, FOREVER)
    row = state._row

    class Meddling:
        def __iter__(self) -> Any:
            state._since, state._taken = 500.0, 3
            return iter(())

    state._row = Meddling()  # type: ignore[assignment]
    state._correct(500.0)
    assert (state._since, state._taken) == (500.0, 3)
    assert row is not None


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
    full.reserve(1, 100.0, FOREVER, FOREVER)
    assert full.available(100.0) == 0
    assert empty.take(1, 100.0)
    empty.reserve(1, 100.0, FOREVER, FOREVER)
    assert empty.available(100.0) == 0


@pytest.mark.parametrize(
    ("taken", "changes", "expected"),
    [
        (0, {"rate": 2, "burst": 9}, [0.0, 0.0, 0.0, 0.0, 0.5]),
        (0, {"rate": 2, "burst": 2}, [0.0, 0.0, 0.5, 1.0]),
        (4, {"rate": 4}, [0.25, 0.5]),
        (3, {"rate": 1, "burst": 1, "per": 2.0}, [0.0, 2.0, 4.0]),
        (6, {"rate": 4}, [2.25, 2.5]),
    ],
)
def test_another_rate(taken: int, changes: dict[str, Any], expected: list[float]) -> None:
    """What was taken stays taken, what was promised stays promised, and from there on the new rate holds (B5's way)."""
    config: dict[str, Any] = {"rate": 1, "burst": 4}
    state = Bucket(RateLimitConfig(**config), 100.0)
    for _ in range(taken):
        state.reserve(1, 100.0, FOREVER, FOREVER)
    state.reconfigure(RateLimitConfig(**{**config, **changes}), 100.0)
    assert waits(state, 100.0, len(expected)) == expected


def test_another_rate_in_between() -> None:
    """A part of a permit that has come in is kept."""
    state = bucket(rate=1, burst=1)
    assert state.take(1, 100.0)
    state.reconfigure(RateLimitConfig(rate=2, burst=1), 100.5)
    assert waits(state, 100.5, 2) == [0.25, 0.75]


def test_claims_of_before_give_nothing_back() -> None:
    """A claim that was made at another rate, or before a fork, is not counted among those of now."""
    changes: list[Any] = [
        lambda state: state.reconfigure(RateLimitConfig(rate=1, burst=1), 100.0),
        lambda state: state.desert(100.0),
    ]
    for change in changes:
        state = bucket()
        assert state.take(1, 100.0)
        old = state.reserve(1, 100.0, FOREVER, FOREVER)
        change(state)
        assert state._row is None
        waits(state, 100.0, 2)
        before = state._taken
        state.cancel(old, 100.0)
        assert state._taken == before


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
    state.reconfigure(RateLimitConfig(rate=5, per=1000.0, mode="window"), 200.0)
    assert state.available(200.0) == 5


def test_those_who_waited_are_gone() -> None:
    """In a forked child nobody waits; what was taken stays taken (G18)."""
    smooth, counting = bucket(burst=2), window(rate=1, per=1.0)
    for state in (smooth, counting):
        waits(state, 100.0, 5)
        state.desert(100.5)
    assert waits(smooth, 100.5, 1) == [1.0]
    assert counting.take(1, 100.5) is False
    assert waits(counting, 100.5, 1) == [0.5]
    counting.desert(100.5)
    assert counting.take(1, 101.0)
    smooth.desert(200.0)
    assert smooth.available(200.0) == 2
