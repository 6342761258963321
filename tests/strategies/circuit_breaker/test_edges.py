"""Where breakers meet cancellation, groups, blocks of keys and hands that never rest (C1, C8, C9, G2, G4, G9)."""

from __future__ import annotations

import asyncio
import math
import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest

from recoup import circuit_breaker, deadline
from recoup.errors import BulkheadFullError, CircuitBreakerError, DeadlineExceeded
from recoup.strategies.circuit_breaker import news
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both, run_trio


class Down(OSError):
    """What the services of this file fail with."""


def ended_with(error: BaseException, **fields: Any) -> str:
    """Tell the state after a call that ended so."""
    breaker = CircuitBreaker(CircuitBreakerConfig(**{"failure_threshold": 1, **fields}))

    def service() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        breaker.call_sync(service)
    assert caught.value is error
    return breaker.state.value


@pytest.mark.parametrize("control", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_a_failure_beside_a_cancellation_is_a_failure(control: BaseException) -> None:
    """What counts needs any leaf: that a sibling was cancelled takes nothing from what happened (G4)."""
    assert ended_with(BaseExceptionGroup("", [control, Down()])) == "open"
    assert (
        ended_with(BaseExceptionGroup("", [BaseExceptionGroup("", [control]), ExceptionGroup("", [Down()])])) == "open"
    )


@pytest.mark.parametrize(
    ("leaves", "fields"),
    [
        ([asyncio.CancelledError()], {}),
        ([asyncio.CancelledError(), KeyError()], {"failure_on": OSError}),
        ([asyncio.CancelledError(), Down()], {"ignore_on": OSError}),
        ([asyncio.CancelledError(), KeyError()], {"failure_on": lambda error: not isinstance(error, KeyError)}),
        ([asyncio.CancelledError(), BulkheadFullError(name="x", max_concurrent=1, max_queue_size=0)], {}),
        ([GeneratorExit(), Down()], {}),
    ],
)
def test_control_flow_alone_is_neutral(leaves: list[BaseException], fields: dict[str, Any]) -> None:
    """In a group too, whatever the condition would say of it; and what ends a generator may be a finaliser (G2, G7)."""
    assert ended_with(BaseExceptionGroup("", leaves), **fields) == "closed"


def test_a_group_in_trio(clock: VirtualClock) -> None:
    """A nursery cancelled from outside leaves a failure and a cancellation together; the failure counts (G4)."""
    import trio

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    async def fails() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Down

    @breaker
    async def service() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(trio.sleep_forever)

    async def main() -> None:
        with trio.move_on_after(1):
            await service()

    with pytest.raises(ExceptionGroup):
        run_trio(main)
    assert breaker.state.value == "open"


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_an_async_callback_runs_although_the_call_was_cut_off(library: str, clock: VirtualClock) -> None:
    """The timer of the same stack cancels again at each await in Trio; the callback is spared, for a while (G2, G9)."""
    both, seen = Both(library), []

    async def on_open() -> None:
        seen.append("begins")
        await both.pause(1)
        seen.append("ends")

    @deadline(2)
    @circuit_breaker(failure_threshold=1, on_open=on_open)
    async def hangs() -> None:
        await both.pause(1000)

    with pytest.raises(DeadlineExceeded):
        both.call(hangs)
    assert seen == ["begins", "ends"]


def test_a_callback_that_hangs_is_spared_for_five_seconds_only(clock: VirtualClock) -> None:
    """Who cancels gets the task back (G9)."""
    import trio

    @deadline(2)
    @circuit_breaker(failure_threshold=1, on_open=trio.sleep_forever)
    async def hangs() -> None:
        await trio.sleep_forever()

    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded):
        run_trio(hangs)
    assert clock.monotonic() - began == pytest.approx(7)


class FakeAnyIO(ModuleType):
    """As much of AnyIO as is asked for; `until` is what its scopes leave the task, an error if there is no loop."""

    def __init__(self, until: float | RuntimeError) -> None:
        super().__init__("anyio")
        self.until = until
        self.scopes: list[tuple[float, bool]] = []

    def current_time(self) -> float:
        return 100.0

    def current_effective_deadline(self) -> float:
        if isinstance(self.until, RuntimeError):
            raise self.until
        return self.until

    def CancelScope(self, *, deadline: float, shield: bool) -> Any:  # noqa: N802 - AnyIO's name
        self.scopes.append((deadline, shield))
        return nullcontext()


@pytest.mark.parametrize(
    ("until", "scopes"), [(-math.inf, [(105.0, True)]), (math.inf, []), (7.0, []), (RuntimeError("no loop"), [])]
)
def test_anyio_is_asked_to_shield_what_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, until: float | RuntimeError, scopes: list[Any]
) -> None:
    """Its scopes cancel again at each await; where nothing is cancelled, or no loop runs, nothing is shielded (G15)."""
    seen: list[str] = []
    anyio = FakeAnyIO(until)
    monkeypatch.setitem(sys.modules, "anyio", anyio)

    async def on_open() -> None:
        seen.append("ran")

    async def service() -> None:
        raise Down

    coroutine = circuit_breaker(failure_threshold=1, on_open=on_open)(service)()
    with pytest.raises(Down):
        coroutine.send(None)
    assert (seen, anyio.scopes) == (["ran"], scopes)


def test_hands_that_never_rest_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an async callback and no call to run it, the oldest transitions go and the newest stay, in order (G9)."""
    monkeypatch.setattr(news, "MOST", 10)
    seen: list[str] = []

    async def on_open() -> None:
        seen.append("open")

    async def on_close() -> None:
        seen.append("close")

    breaker = CircuitBreaker(CircuitBreakerConfig(on_open=on_open, on_close=on_close))
    for _ in range(100):
        breaker.force_open().release()
    assert len(breaker._calls.circuit.news) == 10

    async def service() -> str:
        return "ok"

    assert asyncio.run(breaker.call(service)) == "ok"
    assert seen == ["open", "close"] * 5


def test_a_block_inside_a_limited_function_does_not_know_whose_the_limit_is(clock: VirtualClock) -> None:
    """To a block every limit is inherited, perhaps with hardly any time left: neutral. Put the limit inside (G2)."""
    outside, inside = (CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), name=name) for name in "ab")

    @deadline(2)
    async def limited() -> None:
        async with outside:
            await asyncio.sleep(1000)

    async def right() -> None:
        async with inside, deadline(2):
            await asyncio.sleep(1000)

    for function in (limited, right):
        with pytest.raises(DeadlineExceeded):
            Both("asyncio").run(function)
    assert (outside.state.value, inside.state.value) == ("closed", "open")


def test_a_block_goes_by_its_key(both: Both, clock: VirtualClock) -> None:
    """It shares the circuit with the calls of that key, and a guard may be entered again (C9, R9)."""
    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=2, timeout=60), key="host")

    @breaker
    def fetch(host: str) -> str:
        raise Down

    async def block_async(guard: Any, *, fails: bool) -> None:
        async with guard:
            if fails:
                raise Down

    def block(guard: Any, *, fails: bool) -> None:
        with guard:
            if fails:
                raise Down

    run = block_async if both.is_async else block
    guard = breaker.guard("a")
    both.call(run, guard, fails=False)
    with pytest.raises(Down):
        both.call(run, guard, fails=True)
    with pytest.raises(Down):
        fetch("a")
    with pytest.raises(CircuitBreakerError):
        both.call(run, guard, fails=False)
    both.call(run, breaker.guard("b"), fails=False)
    breaker.reset("a")
    both.call(run, guard, fails=False)
    assert breaker.state("a").value == "closed"


def test_a_block_keeps_its_circuit(clock: VirtualClock) -> None:
    """Other keys may push it out meanwhile; what it has to tell comes back (C9)."""
    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=1), key="host", max_keys=1)

    def work() -> None:
        with breaker.guard("a"):
            with breaker.guard("b"):
                pass
            raise Down

    with pytest.raises(Down):
        work()
    assert breaker.state("a").value == "open"


def test_blocks_of_keys_refuse_what_no_block_can_do() -> None:
    """As those without (R9)."""
    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_on_result=bool), key="host")
    with pytest.raises(TypeError, match="failure_on_result cannot work round a block"), breaker.guard("a"):
        pass
    with pytest.raises(TypeError, match="key must give"):
        breaker.guard([])
