"""Compensations that change while calls run (S1, S3, B5, G1)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, compensate, explain, saga
from recoup.strategies.compensation.config import CompensationConfig
from recoup.strategies.compensation.strategy import Compensation

if TYPE_CHECKING:
    from tests.conftest import Both


class Shop:
    """Keeps a diary."""

    def __init__(self) -> None:
        self.diary: list[str] = []

    def pay(self, order: int) -> None:
        raise ConnectionError(f"no answer for {order}")

    def undo(self, name: str) -> Any:
        return lambda: self.diary.append(name)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_calls_that_fail_from_now_on(both: Both, shop: Shop) -> None:
    """A function that is decorated already is undone by the new actions, in the new order (S1, B5)."""
    undoing = compensate([shop.undo("old")])
    pay = undoing(both.wrap(shop.pay))
    undoing.reconfigure(compensation_actions=[shop.undo("a"), shop.undo("b")], use_sagas=True)
    with pytest.raises(ConnectionError, match="no answer"):
        both.call(pay, 7)
    assert shop.diary == ["b", "a"]
    assert "runs" in str(explain(pay))
    assert undoing.compensations == 1
    undoing.reset()
    assert undoing.compensations == 0


def test_whose_error_comes_out(both: Both, shop: Shop) -> None:
    """`raise_original` and the number of tries of the new config hold (S2, B5)."""
    tries: list[int] = []

    def broken() -> None:
        tries.append(1)
        raise KeyError("broken")

    undoing = compensate([broken])
    pay = undoing(both.wrap(shop.pay))
    with pytest.raises(CompensationError):
        both.call(pay, 7)
    undoing.reconfigure(raise_original=True, compensation_attempts=3, compensation_delay=0)
    with pytest.raises(ConnectionError):
        both.call(pay, 7)
    assert len(tries) == 4


def test_a_step_is_undone_as_it_was_agreed(shop: Shop) -> None:
    """What a saga has completed keeps the actions that it was completed under (S1, B5)."""
    undoing = Compensation(CompensationConfig(compensation_actions=[shop.undo("old")]))
    step: Any = undoing(lambda: None)

    def order() -> None:
        with saga():
            step()
            undoing.reconfigure(compensation_actions=[shop.undo("new")], save_state=False)
            undoing.reset()
            step()
            raise ConnectionError("no answer")

    with pytest.raises(ConnectionError, match="no answer"):
        order()
    assert shop.diary == ["new", "old"]


def test_what_is_settled(shop: Shop) -> None:
    """What decides which functions may be decorated stays, and bad values are refused whole (G1)."""

    async def later() -> None: ...

    undoing = Compensation(CompensationConfig(compensation_actions=[shop.undo("old")]))
    config = undoing.config
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"compensation_actions": [later]}, ValueError, "^whether compensation_actions are async must stay as it is"),
        ({"on_compensation_start": later}, ValueError, "^whether on_compensation_start is async must stay"),
        ({"on_compensation_complete": later}, ValueError, "^whether on_compensation_complete is async must stay"),
        ({"saga_timeout": 5, "compensation_attempts": 0}, ValueError, "compensation_attempts must be at least 1"),
        ({"compensation_actions": print}, TypeError, "must be a list of callables"),
        ({"action": print}, TypeError, "unexpected keyword argument 'action'"),
    ]
    for changes, kind, message in bad:
        with pytest.raises(kind, match=message):
            undoing.reconfigure(**changes)
    assert undoing.config is config


def test_while_32_threads_call(shop: Shop) -> None:
    """Each failed call is undone once, by the old list or the new one, whole (S1, B5, G7)."""
    lock = threading.Lock()
    seen: dict[str, int] = dict.fromkeys("abcd", 0)
    stop = threading.Event()

    def count(name: str) -> Any:
        def counted() -> None:
            with lock:
                seen[name] += 1

        return counted

    first, second = [count("a"), count("b")], [count("c"), count("d")]
    undoing = compensate(first)
    pay = undoing(shop.pay)

    def call() -> None:
        for _ in range(30):
            with pytest.raises(ConnectionError):
                pay(1)

    def change() -> None:
        while not stop.is_set():
            undoing.reconfigure(compensation_actions=second)
            undoing.reset()
            undoing.reconfigure(compensation_actions=first)

    callers = [threading.Thread(target=call) for _ in range(32)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    assert seen["a"] == seen["b"]
    assert seen["c"] == seen["d"]
    assert seen["a"] + seen["c"] == 32 * 30
