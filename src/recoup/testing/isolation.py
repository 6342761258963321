"""Tests that leave no state behind: every strategy object is afterwards as it was before.

As it was before means:

* What can save its state (`snapshot` and `restore`, as circuit breakers have) gets back what it had.
* Everything else is reset, as if it had just been made: bulkheads, limiters, throttles, caches, budgets, metrics. So is
  what the test, or a fixture for it, has made.
* Names in the registry whose objects only the test has used are gone.

Configurations, holds on breakers (`force_open()` and its like) and armed faults are somebody's decision, not state, and
stay as they are.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

from recoup._core.registry import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

__all__ = ["forgetting", "isolated", "objects", "unwatch", "watch"]


def watch() -> bool:
    """Begin to take note of every strategy object; tell whether nobody did so far.

    Those made before are found through the garbage collector, once.
    """
    if registry._watched is not None:
        return False
    registry._watched = {}
    strategies = sys.modules.get("recoup._core.strategy")
    if strategies is not None:
        for each in gc.get_objects():
            if issubclass(type(each), strategies.Strategy):  # not isinstance: proxies of others do things when asked
                registry._meet(each)
    return True


def unwatch() -> None:
    """Take note no more."""
    registry._watched = None


def objects() -> list[Any]:
    """Give all strategy objects that are alive, and the budgets that they share."""
    alive = [strategy for each in list((registry._watched or {}).values()) if (strategy := each()) is not None]
    found: dict[int, Any] = {id(strategy): strategy for strategy in alive}
    for strategy in alive:
        budget = getattr(getattr(strategy, "config", None), "budget", None)
        if hasattr(budget, "reset"):
            found[id(budget)] = budget
    return list(found.values())


@contextmanager
def isolated() -> Generator[None]:
    """Have every strategy object be as it was when the block ends.

    Raises:
        ExceptionGroup: If some could not be put back; all others were.
    """
    saved: dict[int, tuple[Callable[[], Any], Any]] = {}
    for each in objects():
        if hasattr(each, "snapshot") and hasattr(each, "restore"):
            saved[id(each)] = ref(each), each.snapshot()
    try:
        yield
    finally:
        _together(_putting_back(each, saved) for each in objects())


def _putting_back(strategy: Any, saved: dict[int, tuple[Callable[[], Any], Any]]) -> Callable[[], None]:
    known, snapshot = saved.get(id(strategy), (_nobody, None))
    if known() is strategy:  # and not another one that came to live where it has died
        return partial(strategy.restore, snapshot)
    reset: Callable[[], None] = strategy.reset
    return reset


def _nobody() -> None:
    """Stand for an object that was not there before."""


def _together(acts: Iterable[Callable[[], None]]) -> None:
    errors: list[Exception] = []
    for act in acts:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised below; the others must be put back all the same
            errors.append(error)
    if errors:
        raise ExceptionGroup("some strategy objects could not be put back after a test", errors)


@contextmanager
def forgetting() -> Generator[None]:
    """Have names that are new in the registry, and whose objects nobody uses any more, gone when the block ends.

    Objects that are part of a cycle live on until the collector finds them; it is asked only if there are new names.
    """
    before = set(registry._listed)
    try:
        yield
    finally:
        if not before.issuperset(registry._listed):
            gc.collect()
