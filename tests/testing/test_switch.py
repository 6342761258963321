"""What `disabled`, `instant` and `enabled` promise (G16)."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from recoup._core import mode
from recoup.strategies.retry.config import RetryConfig
from recoup.strategies.retry.strategy import RetryExecutor
from recoup.testing import disabled, enabled, instant

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Flaky:
    """A function that always fails, and counts."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.calls = 0

    def _body(self) -> None:
        self.calls += 1
        raise ConnectionError("down")

    def run(self) -> int:
        """Try, and tell how many calls it took."""
        self.calls = 0
        with pytest.raises(ConnectionError, match="down"):
            self.both.execute(RetryExecutor(RetryConfig(max_attempts=3)), self.both.wrap(self._body))
        return self.calls


def test_disabled_makes_one_plain_call(both: Both, clock: VirtualClock) -> None:
    """Inside `disabled` a retry gives up at the first failure; behind it everything is as before (G16)."""
    flaky = Flaky(both)
    with disabled():
        assert flaky.run() == 1
    assert clock.sleeps == []
    assert flaky.run() == 3
    assert len(clock.sleeps) == 2


def test_instant_retries_without_waiting(both: Both, clock: VirtualClock) -> None:
    """Inside `instant` a retry makes all its attempts and sleeps for none of them (G16)."""
    with instant():
        assert Flaky(both).run() == 3
    assert clock.sleeps == []


def test_scopes_nest_and_restore(both: Both, clock: VirtualClock) -> None:
    """The innermost scope decides, and leaving one brings back the one around it (G16)."""
    flaky = Flaky(both)
    with disabled():
        with instant():
            assert flaky.run() == 3
        assert flaky.run() == 1
        with enabled():
            assert flaky.run() == 3
            assert len(clock.sleeps) == 2
        assert flaky.run() == 1


@pytest.mark.parametrize("scope", [disabled, instant, enabled])
def test_scope_ends_with_an_error(scope: Callable[[], AbstractContextManager[None]]) -> None:
    """A scope that is left by an exception is over all the same, and does not swallow it."""
    with pytest.raises(KeyError, match="the way out"), scope():
        raise KeyError("the way out")
    assert not mode.off()
    assert not mode.instant()
    assert mode.active == 0


def test_scope_opens_once() -> None:
    """One scope object cannot be open twice at a time."""
    scope = disabled()
    with scope, pytest.raises(RuntimeError, match="open already"):
        scope.__enter__()
    assert mode.active == 0


def test_other_threads_are_not_affected() -> None:
    """The switch belongs to the context that set it (G16)."""
    seen: list[bool] = []
    with disabled():
        thread = threading.Thread(target=lambda: seen.append(mode.off()))
        thread.start()
        thread.join()
        assert mode.off()
    assert seen == [False]


async def test_other_tasks_are_not_affected_and_children_are() -> None:
    """A task sees the scopes it was started in, while they are open, and no others (G16)."""
    opened, leave = asyncio.Event(), asyncio.Event()
    seen: list[tuple[str, bool]] = []

    async def child() -> None:
        seen.append(("child inside", mode.off()))
        await leave.wait()
        seen.append(("child that outlives the block", mode.off()))

    async def scoped() -> asyncio.Task[None]:
        with disabled():
            task = asyncio.create_task(child())
            await asyncio.sleep(0)
            opened.set()
            await asyncio.sleep(0)
        return task

    async def stranger() -> None:
        await opened.wait()
        seen.append(("stranger", mode.off()))

    other = asyncio.create_task(stranger())
    task = await scoped()
    leave.set()
    await asyncio.gather(task, other)
    assert dict(seen) == {"child inside": True, "child that outlives the block": False, "stranger": False}
