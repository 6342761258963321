"""Faults of retries that were seen in published libraries (peers.md)."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import random
import weakref
from typing import Any

import pytest

from recoup import DeadlineExceeded, RetryConfig, RetryExecutor, deadline, retry
from recoup.strategies.retry.backoff import Backoff
from recoup.testing import VirtualClock, run
from tests.peers import naive
from tests.peers.judge import only_ours


def ours(attempts: int, **options: Any) -> RetryExecutor:
    return RetryExecutor(RetryConfig(max_attempts=attempts, initial_delay=0, **options))


def test_a_total_time_stops_what_hangs(clock: VirtualClock) -> None:
    """R3: the attempt that runs at the limit is cut off (tenacity, stamina, backoff, google-api-core: afterwards)."""

    def promise(layer: Any) -> None:
        @layer
        async def hangs() -> None:
            await asyncio.sleep(60)
            raise ConnectionError

        async def main() -> float:
            with pytest.raises((DeadlineExceeded, ConnectionError)):
                await hangs()
            return clock.monotonic()

        began = clock.monotonic()
        assert run(main(), clock=clock) - began < 6

    only_ours(promise, ours(3, max_elapsed=5), naive.retry(3, total=5))


def test_cancellation_is_not_retried(clock: VirtualClock) -> None:
    """G2: who cancels is obeyed (tenacity with retry_if_not_exception_type; interlock and grit with BaseException)."""

    def promise(layer: Any) -> None:
        calls = []

        @layer
        async def work() -> None:
            calls.append(1)
            await asyncio.sleep(1)

        async def main() -> None:
            task = asyncio.ensure_future(work())
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

        run(main(), clock=clock)
        assert len(calls) == 1

    only_ours(promise, ours(3), naive.retry(3, catch=BaseException))
    with pytest.raises(ValueError, match="CancelledError"):
        retry(on=asyncio.CancelledError)


def test_tasks_that_share_a_policy_count_for_themselves(clock: VirtualClock) -> None:
    """G8: each call gets all of its attempts (tenacity and stamina mix them when one object is shared)."""

    def promise(layer: Any) -> None:
        made: dict[int, int] = {}

        @layer
        async def work(task: int) -> None:
            made[task] = made.get(task, 0) + 1
            await asyncio.sleep(0.01 * (task + 1))
            raise ConnectionError

        async def main() -> None:
            await asyncio.gather(*(work(task) for task in range(5)), return_exceptions=True)

        run(main(), clock=clock)
        assert made == dict.fromkeys(range(5), 4)

    only_ours(promise, ours(4), naive.SharedRetry(4))


def test_failed_frames_are_not_kept(clock: VirtualClock) -> None:
    """G11: what the caller held is gone when the call is over, without the collector."""

    class Payload:
        pass

    def promise(layer: Any) -> None:
        async def main() -> Any:
            async def call() -> Any:
                payload = Payload()

                @layer
                async def work(given: object) -> None:
                    raise ConnectionError

                with pytest.raises(ConnectionError) as caught:
                    await work(payload)
                del caught
                return weakref.ref(payload)

            return (await call())()

        gc.collect()
        gc.disable()
        try:
            assert run(main(), clock=clock) is None
        finally:
            gc.enable()

    only_ours(promise, ours(2), naive.SharedRetry(2))


def test_late_waits_do_not_coincide() -> None:
    """R2: at most one of a hundred late waits is exactly the cap (Polly, resilience4j: 55-99 % of them)."""

    def promise(delays: Any) -> None:
        late = [delays() for _ in range(400)]
        assert max(late) <= 60
        assert sum(delay == 60 for delay in late) <= 4

    backoff = Backoff(RetryConfig(initial_delay=1, max_delay=60))
    only_ours(promise, lambda: backoff.delay(9, None, random.uniform)[0], lambda: naive.capped(9, 60))


def test_the_written_order_is_kept(clock: VirtualClock) -> None:
    """G14: a limit outside retry bounds all attempts, one inside bounds each (resilix: both the same)."""

    def promise(layers: Any) -> None:
        limit, again = layers

        async def hangs() -> None:
            await asyncio.sleep(60)

        async def seconds(fn: Any) -> float:
            began = clock.monotonic()
            with pytest.raises(TimeoutError):
                await fn()
            return clock.monotonic() - began

        assert run(seconds(limit(again(hangs))), clock=clock) == pytest.approx(2)
        assert run(seconds(again(limit(hangs))), clock=clock) == pytest.approx(6)

    def again(fn: Any) -> Any:
        return ours(3, attempt_timeout=50, backoff_strategy="fixed")(fn)

    only_ours(promise, (deadline(2), again), (naive.Stack("timeout", seconds=2), naive.Stack("retry", attempts=3)))


def test_a_foreign_decorator_in_between_is_kept(clock: VirtualClock) -> None:
    """G5: with functools.wraps or without, it is called each time (resilix drops it silently)."""

    def promise(layers: Any) -> None:
        seen = []

        def foreign(fn: Any) -> Any:
            @functools.wraps(fn)
            async def between(*args: Any) -> Any:
                seen.append(1)
                return await fn(*args)

            return between

        outer, inner = layers

        @outer
        @foreign
        @inner
        async def work() -> str:
            return "served"

        assert run(work(), clock=clock) == "served"
        assert seen == [1]

    only_ours(promise, (ours(2), deadline(2)), (naive.Stack("retry", attempts=2), naive.Stack("timeout", seconds=2)))


def test_arguments_are_not_logged(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """G10: neither a password given nor what comes back is in any log or note (stamina logs arguments)."""

    def promise(layer: Any) -> None:
        @layer
        async def login(password: str) -> None:
            raise ConnectionError("down")

        async def main() -> str:
            with caplog.at_level(logging.DEBUG), pytest.raises(ConnectionError) as caught:
                await login("hunter2")
            return " ".join(getattr(caught.value, "__notes__", []))

        assert "hunter2" not in run(main(), clock=clock) + caplog.text

    def logs(fn: Any) -> Any:
        async def telling(*args: Any) -> Any:
            logging.getLogger("naive").warning("calling with %r", args)
            return await fn(*args)

        return telling

    only_ours(promise, ours(3), logs)
