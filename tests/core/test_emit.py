"""What callbacks and listeners promise (G9)."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from recoup import subscribe
from recoup._core import clock as seam
from recoup._core import emit
from recoup.events import CircuitClosed, Event
from tests.conftest import Both


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was logged in other tests."""
    monkeypatch.setattr(emit, "_logged", set())


def tell(both: Both, callback: Any, *args: Any) -> None:
    """Run a callback in either colour."""
    both.call(emit.call_async if both.is_async else emit.call, callback, *args)


def test_a_failing_callback_is_logged_once_and_changes_nothing(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    """Once per callback and type (G9)."""

    def fails(error: type[Exception]) -> None:
        raise error

    with caplog.at_level(logging.WARNING, logger="recoup"):
        for error in (ValueError, ValueError, KeyError):
            tell(both, fails, error)
    assert [record.getMessage().split(" raised ")[1].split(";")[0] for record in caplog.records] == [
        "ValueError",
        "KeyError",
    ]
    assert "fails" in caplog.text


@pytest.mark.parametrize("control", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_control_flow_from_a_callback_propagates(both: Both, control: type[BaseException]) -> None:
    """An interrupt stays one (G9)."""

    def fails() -> None:
        raise control

    with pytest.raises(control):
        tell(both, fails)


def test_an_async_callback_is_awaited_in_async_code_and_refused_in_sync_code(
    both: Both, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is left un-awaited either way."""
    seen: list[int] = []

    async def callback(n: int) -> None:
        await seam.pause_async(0)
        seen.append(n)

    with caplog.at_level(logging.WARNING, logger="recoup"):
        tell(both, callback, 1)
    assert seen == ([1] if both.is_async else [])
    assert ("TypeError" in caplog.text) is not both.is_async


def test_an_awaitable_that_is_no_coroutine_is_refused_in_sync_code(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to close, and it is said all the same."""

    class Awaitable:
        def __await__(self) -> Any:
            yield

    with caplog.at_level(logging.WARNING, logger="recoup"):
        emit.call(Awaitable)
    assert "an asynchronous callback cannot run in a synchronous call" in caplog.text


def test_the_log_is_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks made without end do not fill the memory."""
    monkeypatch.setattr(emit, "_MOST_LOGGED", 3)
    with caplog.at_level(logging.WARNING, logger="recoup"):
        for number in range(10):

            def fails() -> None:
                raise OSError

            fails.__qualname__ = f"fails{number}"
            emit.call(fails)
    assert len(caplog.records) == len(emit._logged) == 3


def test_listeners_hear_events_until_they_cancel() -> None:
    """A subscription ends with its block or its cancel(), and a second cancel does nothing."""
    seen: list[Event] = []
    event = CircuitClosed("api")
    with subscribe(seen.append) as subscription:
        emit.tell(event)
    emit.tell(event)
    subscription.cancel()
    assert seen == [event]
    assert emit.listeners == ()


def test_the_same_listener_may_subscribe_twice() -> None:
    """Each subscription is its own."""
    seen: list[Event] = []
    first, second = subscribe(seen.append), subscribe(seen.append)
    first.cancel()
    emit.tell(CircuitClosed("api"))
    second.cancel()
    assert len(seen) == 1


def test_a_failing_listener_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Each is told (G9)."""
    seen: list[Event] = []

    def fails(event: Event) -> None:
        raise ValueError

    with subscribe(fails), subscribe(seen.append), caplog.at_level(logging.WARNING, logger="recoup"):
        emit.tell(CircuitClosed("api"))
    assert len(seen) == 1
    assert "fails" in caplog.text


@pytest.mark.parametrize("listener", [None, 5, "x"])
def test_a_listener_must_be_callable(listener: Any) -> None:
    """And says so at once."""
    with pytest.raises(TypeError, match="listener must be a plain callable"):
        subscribe(listener)


def test_an_async_listener_is_refused() -> None:
    """Events happen in plain code as well."""

    async def listener(event: Event) -> None: ...

    with pytest.raises(TypeError, match="listener must be a plain callable"):
        subscribe(listener)


def test_subscribing_from_many_threads_loses_nobody() -> None:
    """The list is replaced whole under a lock (G7)."""
    subscriptions: list[Any] = []

    def work() -> None:
        subscriptions.extend(subscribe(lambda _: None) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(emit.listeners) == 400
    for subscription in subscriptions:
        subscription.cancel()
    assert emit.listeners == ()
