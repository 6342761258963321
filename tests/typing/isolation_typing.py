"""What a type checker knows of isolation: the decorated function stays what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from recoup import Isolation, IsolationBusyError, IsolationConfig, UnpicklableError, WorkerCrashed, isolate

assert_type(isolate(workers=2, timeout=30, start_method="forkserver"), Isolation)
assert_type(isolate(IsolationConfig(max_calls_per_worker=100)), Isolation)
isolation = Isolation(IsolationConfig(initializer=print), name="render")


@isolation
def render(page: int) -> bytes:
    return bytes(page)


@isolate
def measure(page: int) -> float:
    return float(page)


async def awaited() -> None:
    assert_type(await isolation.execute(render, 1), bytes)
    async with isolation as entered:
        assert_type(entered, Isolation)
    await isolation.aclose(kill=True)


def called() -> None:
    assert_type(render(1), bytes)
    assert_type(measure(1), float)
    assert_type(isolation.execute_sync(render, 1), bytes)
    assert_type(isolation.metrics, Mapping[str, int])
    assert_type(isolation.pids, tuple[int, ...])
    assert_type(isolation.config, IsolationConfig)
    with isolation as entered:
        assert_type(entered, Isolation)
    isolation.close(kill=True)
    render("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the parameters are kept


def failed(crashed: WorkerCrashed, busy: IsolationBusyError, lost: UnpicklableError) -> None:
    assert_type(crashed.exitcode, int | None)
    assert_type(crashed.started, bool)
    assert_type(crashed.pid, int | None)
    assert_type(busy.waited, float)
    assert_type(busy.workers, int)
    assert_type(lost.what, str)
    assert_type(lost.reason, str)
