"""Histograms of durations (B6, G7, G12)."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.strategies.bulkhead import histogram
from recoup.strategies.bulkhead.histogram import Histogram, Recorder


def recorder(*durations: float) -> Recorder:
    made = Recorder()
    for seconds in durations:
        made.add(seconds)
    return made


def test_it_counts() -> None:
    """Number, sum and greatest are exact; buckets are ascending and hold all of them (B6)."""
    found = recorder(1.0, 0.5, 1.1, 0, -3).histogram()
    assert (found.count, found.total, found.longest) == (5, 2.6, 1.1)
    assert sum(found.buckets.values()) == 5
    assert list(found.buckets) == sorted(found.buckets)
    assert found.buckets[1.125] == 2, "1.0 and 1.1 are within an eighth of each other"
    assert found.buckets[0.5625] == 1


def test_nothing_recorded() -> None:
    """There is no quantile of nothing (B6)."""
    found = Recorder().histogram()
    assert found == Histogram(0, 0.0, 0.0, {})
    assert found.quantile(0.5) is None


@given(durations=st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=300), share=st.floats(0, 1))
def test_quantiles_beside_sorting(durations: list[float], share: float) -> None:
    """Never less than what it stands for, and at most an eighth more (B6)."""
    exact = sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)]
    told = recorder(*durations).histogram().quantile(share)
    assert told is not None
    assert exact <= told <= max(durations)
    assert told <= exact * 1.125 * (1 + 1e-12)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan, True, "1"])
def test_a_bad_share_is_refused(share: Any) -> None:
    """A share is from 0 to 1 (G1)."""
    with pytest.raises((TypeError, ValueError), match="share"):
        recorder(1).histogram().quantile(share)


def test_memory_is_fixed() -> None:
    """However many durations, of whatever size, there are few buckets, and the pile is sorted in time (B6)."""
    made = Recorder()
    for number in range(10_000):
        made.add(10 ** ((number % 150) / 10 - 9))
    assert len(made._pile) < histogram.BATCH
    found = made.histogram()
    assert found.count == 10_000
    assert len(found.buckets) <= 8 * math.log2(1e15) + 8


def test_recording_waits_for_nobody() -> None:
    """While somebody sorts, others only put theirs on the pile (G7)."""
    made = Recorder()
    with made._lock:
        for _ in range(histogram.BATCH + 5):
            made.add(1.0)
        assert len(made._pile) == histogram.BATCH + 5
    assert made.histogram().count == histogram.BATCH + 5


def test_asking_while_the_same_thread_sorts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler that interrupts the sorting is told what is known, and does not hang (G7)."""
    made = recorder(1.0)

    class Held:
        def acquire(self, timeout: float) -> bool:
            return False

    monkeypatch.setattr(made, "_lock", Held())
    assert made.histogram().count == 0


def test_threads_lose_nothing() -> None:
    """Sixteen threads record at once (B6)."""
    made = Recorder()

    def record() -> None:
        for _ in range(500):
            made.add(0.001)

    threads = [threading.Thread(target=record) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.histogram().count == 8000
