"""Limits that adapt: their formulas, their bounds, and bad values (B7, G1)."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import BulkheadConfig
from recoup.strategies.bulkhead.limits import AdaptiveLimit, AIMDLimit, Gradient2Limit, Learner, VegasLimit

LIMITS = [AIMDLimit, VegasLimit, Gradient2Limit]


def taught(learner: Learner, *calls: tuple[float, int, bool]) -> list[int]:
    return [learner.learn(seconds, inside, dropped=dropped) for seconds, inside, dropped in calls]


def test_aimd_by_hand() -> None:
    """One up while half of it is in use, a tenth down (at least one) for a drop or a slow call, within bounds (B7)."""
    learner = AIMDLimit(min_limit=4, max_limit=21).start(20)
    quick, idle, slow, dropped = (0.1, 20, False), (0.1, 7, False), (5.1, 20, False), (0.1, 1, True)
    assert taught(learner, quick, quick, idle) == [21, 21, 21]
    assert taught(learner, slow, dropped, idle) == [18, 16, 16]
    assert taught(learner, (5.0, 8, False)) == [17]
    small = AIMDLimit(min_limit=4).start(6)
    assert taught(small, dropped, dropped, dropped) == [5, 4, 4]


def test_vegas_by_hand() -> None:
    """Six up without a queue, one up with a small one, down with a long one or for a drop, by log10 (B7)."""
    learner = VegasLimit(probe_multiplier=10**6).start(20)
    assert taught(learner, (0.100, 20, False)) == [20], "the shortest time"
    assert taught(learner, (0.100, 20, False)) == [26], "nothing queues up"
    assert taught(learner, (0.100, 12, False)) == [26], "not in use"
    assert taught(learner, (0.108, 26, False)) == [27], "26 * (1 - 100 / 108) = 1.9: two queue up"
    assert taught(learner, (0.120, 27, False)) == [27], "27 * (1 - 100 / 120) = 4.5: five do, which is all right"
    assert taught(learner, (0.150, 27, False)) == [26], "nine are too many"
    assert taught(learner, (0.100, 1, True)) == [25], "a drop"
    assert taught(learner, (0.090, 25, True)) == [25], "a shorter time is only remembered"
    large = VegasLimit(max_limit=151).start(150)
    assert taught(large, (1, 150, False), (1, 150, False), (1, 150, True)) == [150, 151, 149]
    halved = VegasLimit(smoothing=0.5).start(20)
    assert taught(halved, (1, 20, False), (1, 20, False)) == [20, 23]


def test_vegas_takes_the_shortest_time_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `probe_multiplier` times the limit calls, or half of that, the service may have become slower (B7)."""
    from recoup._core import clock

    monkeypatch.setattr(clock, "random", lambda: 0.0)
    learner = VegasLimit(probe_multiplier=1).start(10)
    calls: list[tuple[float, int, bool]] = [(1.0, 1, False)] * 4
    assert taught(learner, *calls) == [10] * 4
    assert taught(learner, (2.0, 10, True)) == [10], "the fifth call is the new measure, whatever became of it"
    assert taught(learner, (2.0, 10, False)) == [16], "by which nothing queues up"


def test_gradient2_by_hand() -> None:
    """The limit moves towards L * g + 4 by a fifth, where g compares the usual time with this one (B7)."""
    learner = Gradient2Limit().start(20)
    assert taught(learner, (0.1, 20, False)) == [20]  # 20.8
    assert taught(learner, (0.1, 20, False)) == [21]  # 21.6
    assert taught(learner, (0.1, 10, False)) == [21], "not in use"
    assert taught(learner, (0.5, 21, False)) == [20], "the average of all is 0.2: g = 0.6"  # 21.6 -> 20.672
    assert learner._usual == pytest.approx(0.2)  # type: ignore[attr-defined] # one of ours
    for _ in range(6):
        learner.learn(0.2, 1, dropped=False)
    learner.learn(0.2 + 0.601, 1, dropped=False)
    assert learner._usual == pytest.approx(0.202)  # type: ignore[attr-defined] # from then on 2 / 601 of each
    learner.learn(0.1, 1, dropped=False)
    assert learner._usual == pytest.approx((0.202 - 0.102 * 2 / 601) * 0.95)  # type: ignore[attr-defined] # overload is over
    bounds = Gradient2Limit(min_limit=18, max_limit=21, smoothing=1).start(20)
    assert taught(bounds, (0.1, 20, False), (100, 20, True), (1e6, 20, True)) == [21, 19, 18]


ANY_CALL = st.tuples(st.floats(1e-6, 100), st.integers(1, 400), st.booleans())


@given(
    kind=st.sampled_from(LIMITS),
    start=st.integers(2, 50),
    calls=st.lists(ANY_CALL, max_size=200),
)
def test_whatever_comes_the_limit_stays_within_its_bounds(kind: Any, start: int, calls: Any) -> None:
    """Never below `min_limit`, never above `max_limit`, always a whole number (B7)."""
    for limit in taught(kind(min_limit=2, max_limit=50).start(start), *calls):
        assert 2 <= limit <= 50
        assert type(limit) is int


@given(calls=st.lists(ANY_CALL, max_size=100), ratio=st.sampled_from([0.5, 0.9]))
def test_aimd_beside_a_model(calls: Any, ratio: float) -> None:
    """Call by call as the formula says (B7)."""
    learner, limit = AIMDLimit(backoff_ratio=ratio, timeout=1).start(20), 20
    for seconds, inside, dropped in calls:
        bad = dropped or seconds > 1
        if bad:
            limit = max(1, min(limit - 1, math.floor(limit * ratio)))
        elif 2 * inside >= limit:
            limit = min(200, limit + 1)
        assert learner.learn(seconds, inside, dropped=dropped) == limit


@given(calls=st.lists(ANY_CALL, max_size=100), smoothing=st.sampled_from([0.25, 1.0]))
def test_vegas_beside_a_model(calls: Any, smoothing: float) -> None:
    """Call by call as the formula says; with no calls to take the shortest time anew (B7)."""
    learner = VegasLimit(smoothing=smoothing, probe_multiplier=10**6).start(20)
    estimate, shortest = 20.0, None
    for seconds, inside, dropped in calls:
        root = max(1, len(str(int(estimate))) - 1)
        if shortest is None or seconds < shortest:
            shortest = seconds
        else:
            queue = math.ceil(estimate * (1 - shortest / seconds))
            target = estimate
            if dropped or (inside * 2 >= estimate and queue > 6 * root):
                target -= root
            elif inside * 2 >= estimate and queue < 3 * root:
                target += 6 * root if queue <= root else root
            estimate += smoothing * (max(1, min(1000, target)) - estimate)
        assert learner.learn(seconds, inside, dropped=dropped) == int(estimate)


@given(calls=st.lists(ANY_CALL, max_size=100), smoothing=st.sampled_from([0.2, 1.0]))
def test_gradient2_beside_a_model(calls: Any, smoothing: float) -> None:
    """Call by call as the formula says (B7)."""
    learner = Gradient2Limit(smoothing=smoothing, long_window=99).start(20)
    estimate, usual, seen = 20.0, 0.0, []
    for seconds, inside, dropped in calls:
        seen.append(seconds)
        usual += (seconds - usual) / len(seen) if len(seen) <= 10 else 0.02 * (seconds - usual)
        long = usual
        if long > 2 * seconds:
            usual *= 0.95
        if inside >= estimate / 2:
            wanted = estimate * max(0.5, min(1, 1.5 * long / seconds)) + 4
            estimate = max(1, min(200, (1 - smoothing) * estimate + smoothing * wanted))
        got = learner.learn(seconds, inside, dropped=dropped)
        assert got == int(estimate) or math.isclose(estimate, round(estimate), rel_tol=1e-9)


@pytest.mark.parametrize("kind", LIMITS)
def test_configs_are_values(kind: Any) -> None:
    """Immutable, equal by value, they pickle and copy, and each start begins anew."""
    config = kind(max_limit=30)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == kind(max_limit=30) != kind()  # noqa: S301
    first, second = config.start(10), config.start(10)
    taught(first, (1.0, 10, False), (1.0, 10, False), (1.0, 10, False))
    assert second.learn(1.0, 1, dropped=False) == 10


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_limit": 0}, ValueError, "min_limit must be at least 1, not 0"),
        ({"min_limit": True}, TypeError, "min_limit must be a whole number"),
        ({"max_limit": 1.5}, TypeError, "max_limit must be a whole number"),
        ({"min_limit": 5, "max_limit": 4}, ValueError, r"max_limit must be at least min_limit \(5\), not 4"),
        ({"drop_on": 3}, TypeError, "drop_on"),
        ({"drop_on": KeyboardInterrupt}, (TypeError, ValueError), "drop_on"),
    ],
)
def test_bad_values_of_all(kind: Any, options: dict[str, Any], error: Any, message: str) -> None:
    """Bounds and conditions are checked at once (G1)."""
    with pytest.raises(error, match=message):
        kind(**options)


@pytest.mark.parametrize(
    ("kind", "field", "bad"),
    [
        (AIMDLimit, "backoff_ratio", [0.4, 1, 1.1, math.nan, True, "1"]),
        (AIMDLimit, "timeout", [0, -1, math.inf, math.nan, True]),
        (VegasLimit, "smoothing", [0, 1.1, math.nan, True]),
        (VegasLimit, "probe_multiplier", [0, 1.5, True]),
        (Gradient2Limit, "queue_size", [0, 1.5, True]),
        (Gradient2Limit, "smoothing", [0, 1.1, math.nan, True]),
        (Gradient2Limit, "tolerance", [0.9, math.inf, math.nan, True]),
        (Gradient2Limit, "long_window", [0, 1.5, True]),
    ],
)
def test_bad_values_of_each(kind: Any, field: str, bad: list[Any]) -> None:
    """The message names the argument (G1)."""
    for value in bad:
        with pytest.raises((TypeError, ValueError), match=field):
            kind(**{field: value})


def test_durations_become_seconds() -> None:
    """A timedelta is as good as seconds."""
    assert AIMDLimit(timeout=timedelta(minutes=1)).timeout == 60.0


@pytest.mark.parametrize("limit", [AIMDLimit(min_limit=5, max_limit=9), Gradient2Limit(min_limit=5, max_limit=9)])
def test_a_bulkhead_starts_within_the_bounds(limit: AdaptiveLimit) -> None:
    """`max_concurrent` is where it starts; outside the bounds is a contradiction (G1)."""
    assert BulkheadConfig(max_concurrent=5, adaptive=limit).adaptive is limit
    for bad in (4, 10):
        with pytest.raises(ValueError, match=rf"within its min_limit \(5\) and max_limit \(9\), not {bad}"):
            BulkheadConfig(max_concurrent=bad, adaptive=limit)
    with pytest.raises(TypeError, match="adaptive must be an AIMDLimit, VegasLimit, Gradient2Limit or None, not 5"):
        BulkheadConfig(adaptive=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="adaptive must be"):
        BulkheadConfig(adaptive=AIMDLimit)  # type: ignore[arg-type]
