"""A child of a fork subscribes and switches recovery off, whatever a thread of its parent was at (G18)."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from recoup import subscribe
from recoup._core import emit, mode
from recoup.testing import disabled

if TYPE_CHECKING:
    from collections.abc import Callable


def use() -> None:
    with subscribe(lambda event: None), disabled():
        assert mode.off()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("module", [emit, mode])
def test_the_child_waits_for_no_lock_of_its_parent(module: Any) -> None:
    """The lock is held as the process forks, and nobody in the child would ever let go of it."""
    with module._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            try:
                use()
            except BaseException:  # noqa: BLE001 - the child must not run the rest of the suite
                os._exit(1)
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    use()


@pytest.mark.parametrize(("module", "after_fork"), [(emit, emit._after_fork), (mode, mode.after_fork)])
def test_what_runs_in_the_child_makes_a_new_lock(
    module: Any, after_fork: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody holds; here without a fork, so that a tracer sees it."""
    held = module._lock
    monkeypatch.setattr(module, "_lock", held)
    with held:
        after_fork()
        use()
    assert module._lock is not held
