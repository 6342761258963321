"""What retry promises for generators (R8)."""

from __future__ import annotations

from typing import Any

import pytest

from recoup import retry
from recoup.testing import VirtualClock
from tests.conftest import Both


def failing_stream(fail_before: int, fail_after: int) -> tuple[Any, list[int]]:
    """Make a generator function that fails before its first item some times, and after some items."""
    starts: list[int] = []

    def stream(items: int) -> Any:
        starts.append(items)
        if len(starts) <= fail_before:
            raise OSError("before")
        for item in range(items):
            if item == fail_after:
                raise OSError("after")
            yield item

    return stream, starts


def test_an_error_before_the_first_item_restarts(both: Both, clock: VirtualClock) -> None:
    """The consumer notices nothing but the wait (R8)."""
    stream, starts = failing_stream(2, 99)
    assert both.call(retry(backoff_strategy="fixed")(both.wrap(stream)), 3) == [0, 1, 2]
    assert starts == [3, 3, 3]
    assert clock.sleeps == [1.0, 1.0]


def test_an_error_after_the_first_item_propagates(both: Both, clock: VirtualClock) -> None:
    """Items that were handed out cannot be taken back (R8)."""
    stream, starts = failing_stream(0, 2)
    with pytest.raises(OSError, match="after") as caught:
        both.call(retry()(both.wrap(stream)), 3)
    assert starts == [3]
    assert not hasattr(caught.value, "__notes__")


def test_giving_up_before_the_first_item(both: Both, clock: VirtualClock) -> None:
    """The last error comes out with its note (G3)."""
    stream, starts = failing_stream(9, 99)
    with pytest.raises(OSError, match="before") as caught:
        both.call(retry(initial_delay=0)(both.wrap(stream)), 3)
    assert len(starts) == 3
    assert caught.value.__context__ is None
    assert caught.value.__notes__[0].startswith("recoup: 3 attempts")


def test_an_empty_stream_is_a_success(both: Both, clock: VirtualClock) -> None:
    """No item is an answer too."""
    stream, starts = failing_stream(0, 99)
    assert both.call(retry()(both.wrap(stream)), 0) == []
    assert starts == [0]


def test_results_of_a_stream_cannot_be_judged(both: Both) -> None:
    """Refused at decoration (G5)."""
    stream, _ = failing_stream(0, 0)
    with pytest.raises(TypeError, match=r"retry_on_result cannot judge .*stream', a generator"):
        retry(retry_on_result=bool)(both.wrap(stream))
