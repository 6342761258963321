"""Which loop is running, whatever the version of Trio and however far its import has come."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import trio

from recoup._core import clock


async def asked() -> bool:
    return clock.in_trio()


def test_the_running_loop_is_told() -> None:
    """G15: Trio inside a run of it, not outside."""
    assert trio.run(asked)
    assert not clock.in_trio()


def test_an_old_trio_is_asked_in_the_old_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 0.29 Trio could not be asked; nothing may pass for asyncio because of that."""
    old = SimpleNamespace(lowlevel=SimpleNamespace(current_task=trio.lowlevel.current_task))
    monkeypatch.setitem(sys.modules, "trio", old)
    assert trio.run(asked)
    assert not clock.in_trio()


@pytest.mark.parametrize("half", [SimpleNamespace(), SimpleNamespace(lowlevel=SimpleNamespace())])
def test_a_trio_that_another_thread_is_importing_runs_nothing(
    half: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is half there is not asked for what it does not have yet."""
    monkeypatch.setitem(sys.modules, "trio", half)
    assert not clock.in_trio()
