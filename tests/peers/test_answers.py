"""Faults of time limits, fallbacks and caches that were seen in published libraries (peers.md)."""

from __future__ import annotations

import contextvars
import inspect
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recoup import cached, deadline, fallback
from recoup.testing import VirtualClock, run
from tests.peers import naive
from tests.peers.judge import only_ours

SRC = Path(__file__).parents[2] / "src"


def test_the_users_own_timeout_stays_the_users(clock: VirtualClock) -> None:
    """D2: the very object that the function raised comes out (interlock, pyresilience call it their own)."""

    def promise(layer: Any) -> None:
        theirs = TimeoutError("the database took too long")

        @layer
        async def query() -> None:
            raise theirs

        with pytest.raises(TimeoutError) as caught:
            run(query(), clock=clock)
        assert caught.value is theirs

    only_ours(promise, deadline(5), naive.timed(5))


def test_context_variables_reach_the_worker_thread() -> None:
    """D3: what the caller set is what the function sees (lost in pyresilience's threads)."""
    request = contextvars.ContextVar("request", default="nobody's")

    def promise(layer: Any) -> None:
        @layer
        def whose() -> str:
            return request.get()

        request.set("alice's")
        assert whose() == "alice's"

    only_ours(promise, deadline(5, mode="thread"), naive.threaded(5))


@pytest.mark.parametrize("protected", [True, False], ids=["ours", "naive"])
def test_abandoned_work_does_not_hold_up_the_exit(protected: bool) -> None:
    """D3: the program ends at once, whatever a worker is still at (pyresilience, baldur wait for it)."""
    made = (
        "from recoup import deadline; layer = deadline(0.1, mode='thread')"
        if protected
        else "from tests.peers import naive; layer = naive.threaded(0.1)"
    )
    program = f"{made}\nimport time\ntry: layer(lambda: time.sleep(3))()\nexcept TimeoutError: print(time.time())"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{SRC}:{SRC.parent}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (time.time() - float(ended.stdout) < 2) is protected


def test_an_async_answer_is_awaited(clock: VirtualClock) -> None:
    """F2: the caller gets the answer and no coroutine (interlock, baldur)."""

    async def archive() -> str:
        return "yesterday's"

    def promise(layer: Any) -> None:
        @layer
        async def fetch() -> str:
            raise ConnectionError

        answer = run(fetch(), clock=clock)
        if inspect.iscoroutine(answer):
            answer.close()
        assert answer == "yesterday's"

    only_ours(promise, fallback(fallback_function=archive), naive.fallback(archive))


def test_an_error_in_the_answer_comes_out(clock: VirtualClock) -> None:
    """F1: with the first error as its cause, never a silent None (baldur)."""

    def broken() -> str:
        raise LookupError("not in the archive")

    def promise(layer: Any) -> None:
        @layer
        async def fetch() -> str:
            raise ConnectionError

        async def main() -> object:
            try:
                return await fetch()
            except LookupError as error:
                return error.__cause__

        assert isinstance(run(main(), clock=clock), ConnectionError)

    only_ours(promise, fallback(fallback_function=broken), naive.fallback(broken))


def test_a_callable_value_is_a_value(clock: VirtualClock) -> None:
    """F2: who gives a function as the value gets the function (nopanic calls it)."""

    def promise(layer: Any) -> None:
        @layer
        async def handler() -> Any:
            raise ConnectionError

        assert run(handler(), clock=clock) is print

    only_ours(promise, fallback(fallback_value=print), naive.fallback(print))


def test_a_failing_function_is_called_once_for_one_miss() -> None:
    """F6: the caller asked once (resilience4j calls a failing function twice)."""

    def promise(layer: Any) -> None:
        calls = []

        @layer
        def fetch(key: int) -> None:
            calls.append(key)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            fetch(1)
        assert calls == [1]

    only_ours(promise, cached(60), naive.cached)
