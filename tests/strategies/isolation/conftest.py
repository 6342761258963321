"""One isolation with real worker processes for all tests of a file: each process takes a while to start."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Isolation, IsolationConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def patient(**options: Any) -> IsolationConfig:
    """Make a config for a machine that may be busy."""
    options = {"start_timeout": 600, "queue_timeout": 600, **options}
    return IsolationConfig(**options)


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    """Give two real workers; afterwards none is left."""
    made = Isolation(patient(workers=2, kill_grace=600), name="tested")
    yield made
    made.close(kill=True)
    assert made.pids == ()
    assert not [each for each in multiprocessing.active_children() if "tested" in each.name]


def until(true: Callable[[], object]) -> None:
    """Wait for something that will be so, however busy the machine is."""
    for _ in range(60_000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it has not come true")
