"""What retry promises for generators (R8)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from recoup import RetryBudget, RetryConfig, RetryExecutor, explain, retry
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_retry import run_by_hand


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


def breaking(*breaks: int, length: int = 4) -> tuple[Any, list[int]]:
    """Make a generator function that fails before the item that stands here, each time it is started."""
    starts: list[int] = []

    def stream() -> Any:
        starts.append(len(starts))
        at = breaks[starts[-1]] if starts[-1] < len(breaks) else length
        for item in range(length):
            if item == at:
                raise OSError("broken")
            yield item

    return stream, starts


@pytest.mark.parametrize(
    ("replay", "items"), [("repeat", [0, 1, 0, 0, 1, 2, 3]), ("resume", [0, 1, 2, 3])], ids=["repeat", "resume"]
)
def test_replay_starts_anew_after_items(both: Both, clock: VirtualClock, replay: Any, items: list[int]) -> None:
    """All items again, or only those that the consumer does not have (R8)."""
    stream, starts = breaking(2, 1)
    assert both.call(retry(replay=replay, backoff_strategy="fixed")(both.wrap(stream))) == items
    assert len(starts) == 3
    assert clock.sleeps == [1.0, 1.0]


def test_a_resumed_stream_that_breaks_earlier_or_later(both: Both, clock: VirtualClock) -> None:
    """What was handed out counts, however far a start came (R8)."""
    stream, _ = breaking(3, 1, 4, length=6)
    assert both.call(retry(replay="resume", max_attempts=9, initial_delay=0)(both.wrap(stream))) == [*range(6)]
    shorter: Any = iter([[1, 2, 3, OSError()], [1, 2]])

    def shrinking() -> Any:
        for item in next(shorter):
            if isinstance(item, Exception):
                raise item
            yield item

    assert both.call(retry(replay="resume", initial_delay=0)(both.wrap(shrinking))) == [1, 2, 3]


def test_replay_has_the_limits_of_retry(both: Both, clock: VirtualClock) -> None:
    """All starts together are max_attempts; the last error comes out with its note (R8, R3, G3)."""
    stream, starts = breaking(1, 1, 1, 1)
    received: list[Any] = []
    protected = retry(replay="repeat", initial_delay=0)(both.wrap(stream))

    def consume() -> None:
        received.extend(item for item in protected())

    async def consume_async() -> None:
        async for item in protected():
            received.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(OSError, match="broken") as caught:
        both.call(consume_async if both.is_async else consume)
    assert received == [0, 0, 0]
    assert len(starts) == 3
    assert caught.value.__notes__[0].startswith("recoup: 3 attempts")
    assert caught.value.__context__ is None


def test_what_the_consumer_throws_is_not_replayed(clock: VirtualClock) -> None:
    """An exception thrown in is the consumer's own; what the generator makes of it is not (R8)."""
    starts: list[int] = []

    @retry(replay="repeat", initial_delay=0)
    def stream(*, other: bool = False) -> Any:
        starts.append(1)
        try:
            yield len(starts)
        except KeyError as error:
            if other:
                raise OSError("its own") from error
            raise
        return "value"

    made = stream()
    assert next(made) == 1
    with pytest.raises(KeyError):
        made.throw(KeyError())
    assert len(starts) == 1
    made = stream(other=True)
    assert next(made) == 2
    assert made.throw(KeyError()) == 3
    with pytest.raises(StopIteration) as end:
        made.send("sent")
    assert end.value.value == "value"


def test_closing_a_replayed_stream_closes_it(clock: VirtualClock) -> None:
    """The generator gets its GeneratorExit, and nothing is started anew (G2, R8)."""
    log: list[str] = []

    @retry(replay="resume")
    def stream() -> Any:
        log.append("start")
        try:
            yield 1
        finally:
            log.append("closed")

    made = stream()
    next(made)
    made.close()
    assert log == ["start", "closed"]


def test_replay_is_for_generators(both: Both) -> None:
    """Anything else is refused, not ignored (G1, R8)."""
    with pytest.raises(TypeError, match=r"replay is for generators, and .*work' is none"):
        retry(replay="repeat")(both.wrap(work))
    with pytest.raises(TypeError, match="replay is for generators"):
        both.execute(RetryExecutor(RetryConfig(replay="repeat")), both.wrap(work))
    assert "starts generators anew also after their first item (repeat)" in str(explain(retry(replay="repeat")))


def work() -> None: ...


def test_a_replayed_stream_counts_in_a_budget(both: Both, clock: VirtualClock) -> None:
    """Every start is a try; its end is a success (R6, R8)."""
    budget = RetryBudget.botocore()
    for _ in range(3):
        budget._spend(0.0, timeout=False)
    stream, _ = breaking(2)
    assert both.call(retry(replay="resume", initial_delay=0, budget=budget)(both.wrap(stream))) == [0, 1, 2, 3]
    assert budget.tokens == 485


def test_before_retry_goes_with_replay(both: Both, clock: VirtualClock) -> None:
    """The next start may go on where the last one broke (R8, R11)."""
    starts: list[int] = []

    def stream(start: int) -> Any:
        starts.append(start)
        for item in range(start, 5):
            if item == 2 and start == 0:
                raise OSError
            yield item

    options: dict[str, Any] = {"before_retry": lambda n, error, args, kwargs: ((2,), kwargs)}
    protected = retry(replay="repeat", initial_delay=0, **options)(both.wrap(stream))
    assert both.call(protected, 0) == [0, 1, 2, 3, 4]
    assert starts == [0, 2]


def test_a_replayed_stream_keeps_no_locals_alive(both: Both) -> None:
    """With the collector off everything dies with the call (G11)."""

    class Local:
        pass

    def stream(kept: Any) -> Any:
        yield 1
        raise OSError("x")

    protected = retry(replay="repeat", initial_delay=0)(both.wrap(stream))

    def call() -> weakref.ref[Local]:
        local = Local()
        with pytest.raises(OSError, match="x"):
            run_by_hand(protected(local))
        return weakref.ref(local)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("options", [{}, {"replay": "repeat"}, {"before_retry": lambda *_: None}], ids=str)
def test_an_async_generator_keeps_its_conversation(clock: VirtualClock, options: dict[str, Any]) -> None:
    """What is sent and thrown in passes through, and what the consumer throws is not retried (G6, R8)."""

    @retry(**options)
    async def stream() -> Any:
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "caught"

    async def main() -> None:
        made = stream()
        heard = [await anext(made), await made.asend("hello"), await made.athrow(KeyError())]
        assert heard == [1, "hello", "caught"]
        thrown = LookupError("of the consumer")
        with pytest.raises(LookupError) as caught:
            await made.athrow(thrown)
        assert caught.value is thrown
        made = stream()
        await anext(made)
        await made.aclose()

    Both("asyncio").run(main)
    assert clock.sleeps == []


@pytest.mark.asyncio_only
def test_a_replayed_stream_that_is_cancelled_ends(clock: VirtualClock) -> None:
    """In its first start and in a wait (G2, R8)."""
    stream, starts = breaking(1)
    both = Both("asyncio")
    for seconds, begun in ((0.5, 0), (5.0, 1)):
        protected = retry(replay="repeat", backoff_strategy="fixed", initial_delay=9)(slowly(stream))

        async def main(seconds: float = seconds, protected: Any = protected) -> None:
            async def consume() -> None:
                async for _ in protected():
                    pass

            task = asyncio.ensure_future(consume())
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        both.run(main)
        assert len(starts) == begun


def slowly(stream: Any) -> Any:
    """Make an async generator function that takes a second before it starts."""

    async def slow() -> Any:
        items = stream()
        await asyncio.sleep(1)
        for item in items:
            yield item

    return slow
