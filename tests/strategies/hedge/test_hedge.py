"""`@hedge`: another attempt beside a slow one, and the first success wins (L3)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from recoup import RetryBudget, current_deadline, deadline, explain, subscribe
from recoup._core.timing import time_left
from recoup.errors import DeadlineExceeded
from recoup.events import HedgeStarted, HedgeWon
from recoup.strategies.hedge.config import HedgeConfig
from recoup.strategies.hedge.strategy import Hedge, hedge
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both
from tests.strategies.hedge.scenes import Service, hedging


async def naive(fn: Callable[[], Any], delay: float) -> Any:
    """Take whatever comes first, as in a simple hedge."""
    tasks = [asyncio.ensure_future(fn())]
    done, _ = await asyncio.wait(tasks, timeout=delay)
    if not done:
        tasks.append(asyncio.ensure_future(fn()))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
    return done.pop().result()


def test_a_quick_call_has_one_attempt(library: Both, clock: VirtualClock) -> None:
    """A call that is done before the delay is made once (L3)."""
    service = Service(clock, library, (0.9, "value"))
    strategy = hedging()
    assert library.run(strategy.execute, service) == "value"
    assert service.log == [(0, 1, "began"), (0.9, 1, "ended")]
    assert strategy.metrics == {"calls": 1, "hedges": 0, "wins": 0, "withheld": 0}


def test_the_second_attempt_wins(library: Both, clock: VirtualClock) -> None:
    """After the delay a second attempt starts; its success ends the call, and the first one is cancelled (L3)."""
    service = Service(clock, library, (60, "slow"), (0.5, "quick"))
    strategy = hedging()
    told: list[Any] = []
    with subscribe(told.append):
        assert library.run(strategy.execute, service) == "quick"
    assert service.log == [(0, 1, "began"), (1, 2, "began"), (1.5, 2, "ended"), (1.5, 1, "cancelled")]
    assert told == [HedgeStarted("api", 2, 1.0), HedgeWon("api", 2)]
    assert strategy.metrics == {"calls": 1, "hedges": 1, "wins": 1, "withheld": 0}


def test_the_first_attempt_may_still_win(library: Both, clock: VirtualClock) -> None:
    """The first success wins, whoever it is (L3)."""
    service = Service(clock, library, (1.2, "first"), (5, "second"))
    told: list[Any] = []
    with subscribe(told.append):
        assert library.run(hedging().execute, service) == "first"
    assert service.log[-1] == (1.2, 2, "cancelled")
    assert told == [HedgeStarted("api", 2, 1.0)]


def test_a_fast_failure_never_masks_a_coming_success(library: Both, clock: VirtualClock) -> None:
    """When one attempt fails the other is waited for; the naive version raises (L3)."""
    for answers in ([(5, "value"), (0.1, OSError("second"))], [(1.1, OSError("first")), (4, "value")]):
        began = clock.monotonic()
        assert library.run(hedging().execute, Service(clock, library, *answers)) == "value"
        assert clock.monotonic() - began == 5
        if library.library == "asyncio":
            with pytest.raises(OSError, match=r"first|second"):
                library.run(naive, Service(clock, library, *answers), 1)


def test_a_failure_before_the_delay_is_the_callers(library: Both, clock: VirtualClock) -> None:
    """A hedge is no retry: when the only attempt fails its error comes out at once, without a note (G3, L3)."""
    error = OSError("down")
    service = Service(clock, library, (0.5, error))
    with pytest.raises(OSError, match="down") as caught:
        library.run(hedging().execute, service)
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert service.calls == 1


@pytest.mark.parametrize("second", [0.1, 9])
def test_when_all_fail_the_first_error_comes_out(library: Both, clock: VirtualClock, second: float) -> None:
    """It is the very error of the first attempt, with one note and no new context (G3, L3)."""
    error = OSError("first")
    service = Service(clock, library, (4, error), (second, OSError("second")))
    with pytest.raises(OSError, match="first") as caught:
        library.run(hedging().execute, service)
    assert caught.value is error
    assert error.__notes__ == ["recoup: all 2 attempts of hedge 'api' failed; the first one's error"]
    assert error.__context__ is None


def test_more_attempts(library: Both, clock: VirtualClock) -> None:
    """Each attempt starts a delay after the one before, up to `max_attempts` (L3)."""
    service = Service(clock, library, (60, 1), (0.5, OSError()), (60, 3), (60, 4))
    with pytest.raises(DeadlineExceeded):
        library.run(deadline(10)(hedging(max_attempts=3).execute), service)
    assert [each for each in service.log if each[2] == "began"] == [(0, 1, "began"), (1, 2, "began"), (2, 3, "began")]


def test_the_budget(library: Both, clock: VirtualClock) -> None:
    """Without a token the call goes on alone (L3)."""
    strategy = hedging(burst=1, budget=0.1)
    for calls in (2, 1):
        service = Service(clock, library, (2, "first"), (60, "second"))
        assert library.run(strategy.execute, service) == "first"
        assert service.calls == calls
    assert strategy.metrics == {"calls": 2, "hedges": 1, "wins": 0, "withheld": 1}


def test_no_attempt_past_the_deadline(library: Both, clock: VirtualClock) -> None:
    """No attempt is added when the deadline comes first; the one that runs is cancelled with its caller (D1, D2)."""
    service = Service(clock, library, (60, "first"), (0.1, "second"))
    with pytest.raises(DeadlineExceeded, match="outer") as caught:
        library.run(deadline(0.8, name="outer")(hedging().execute), service)
    assert caught.value.started is True
    assert service.log == [(0, 1, "began"), (0.8, 1, "cancelled")]


def test_no_attempt_past_a_deadline_that_cancels_nobody(library: Both, clock: VirtualClock) -> None:
    """A cooperative deadline counts as well (D1)."""
    service = Service(clock, library, (3, "first"), (0.1, "second"))

    async def main() -> str:
        with deadline(0.8, mode="cooperative"):
            result: str = await hedging().execute(service)
        return result

    assert library.run(main) == "first"
    assert service.calls == 1


def test_the_attempts_see_the_deadline(library: Both, clock: VirtualClock) -> None:
    """Each attempt has what is left of its caller's time (D1)."""
    seen: list[float | None] = []

    async def work() -> str:
        seen.append(time_left())
        await library.pause(2)
        return "value"

    assert library.run(deadline(5)(hedging().execute), work) == "value"
    assert seen == [5, 4]
    assert current_deadline() is None


def test_the_live_delay(library: Both, clock: VirtualClock) -> None:
    """After the warm-up a call is hedged when it takes longer than the quantile of those before (L3)."""
    strategy = hedge(idempotent=True, quantile=0.9)
    assert strategy.delay is None

    async def work(seconds: float) -> float:
        await library.pause(seconds)
        return seconds

    async def main() -> None:
        for n in range(100):
            assert strategy.delay is None
            await strategy.execute(work, n / 100)
        assert strategy.delay == pytest.approx(0.89)
        service = Service(clock, library, (60, "slow"), (0.1, "quick"))
        assert await strategy.execute(service) == "quick"

    library.run(main)
    assert strategy.metrics["hedges"] == 1


def test_decorated_functions_and_methods(library: Both, clock: VirtualClock) -> None:
    """Functions, methods, class and static methods, partials are hedged, with their arguments (G5, G6)."""
    waits: list[float] = []

    async def plain(one: int, /, two: int = 2, *, three: int = 3) -> tuple[int, int, int]:
        await library.pause(waits.pop(0))
        return one, two, three

    class Client:
        @hedging()
        async def method(self, one: int, two: int = 2, *, three: int = 3) -> tuple[int, int, int]:
            assert isinstance(self, Client)
            return await plain(one, two, three=three)

        @hedging()
        @classmethod
        async def of_class(cls, one: int, two: int = 2, *, three: int = 3) -> tuple[int, int, int]:
            return await plain(one, two, three=three)

        @staticmethod
        @hedging()
        async def static(one: int, two: int = 2, *, three: int = 3) -> tuple[int, int, int]:
            return await plain(one, two, three=three)

    targets: list[Any] = [
        hedging()(plain),
        Client().method,
        Client.of_class,
        Client.static,
        hedging()(partial(plain, three=5)),
        partial(hedging().execute, plain),
    ]
    for target in targets:
        waits[:] = [60, 0.5]
        assert library.run(target, 1, three=5) == (1, 2, 5)
        assert waits == []
    assert targets[0].__name__ == "plain"


class TestValues:
    """Values that nobody takes (R4, L3)."""

    @pytest.mark.parametrize("method", ["aclose", "close"])
    def test_what_is_discarded_is_closed(self, library: Both, clock: VirtualClock, method: str) -> None:
        """A value that comes in spite of the cancellation is closed; the winner's is not (R4)."""
        closed: list[int] = []

        class Connection:
            def __init__(self, number: int) -> None:
                self.number = number

        async def aclose(self: Connection) -> None:
            await library.pause(0.01)
            closed.append(self.number)

        def close(self: Connection) -> None:
            closed.append(self.number)

        setattr(Connection, method, {"aclose": aclose, "close": close}[method])
        connections: list[Connection] = []

        async def connect() -> Connection:
            made = Connection(len(connections) + 1)
            connections.append(made)
            try:
                await library.pause(60 if made.number == 1 else 0.5)
            except BaseException as error:
                if type(error).__name__ not in ("CancelledError", "Cancelled"):
                    raise
            return made

        assert library.run(hedging().execute, connect) is connections[1]
        assert closed == [1]

    def test_the_same_object_is_not_closed(self, library: Both, clock: VirtualClock) -> None:
        """If both attempts give the same object, it is the winner's (R4)."""
        closed: list[bool] = []

        class Pool:
            def close(self) -> None:
                closed.append(True)

        pool = Pool()
        calls: list[bool] = []

        async def get() -> Pool:
            calls.append(True)
            try:
                await library.pause(60 if len(calls) == 1 else 0.5)
            except BaseException as error:
                if type(error).__name__ not in ("CancelledError", "Cancelled"):
                    raise
            return pool

        assert library.run(hedging().execute, get) is pool
        assert closed == []

    def test_an_error_in_close_changes_nothing(
        self, library: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged (G9)."""

        class Broken:
            def close(self) -> None:
                raise ValueError("broken")

        calls: list[bool] = []

        async def get() -> Any:
            calls.append(True)
            if len(calls) == 2:
                await library.pause(0.5)
                return "value"
            try:
                await library.pause(60)
            except BaseException as error:
                if type(error).__name__ not in ("CancelledError", "Cancelled"):
                    raise
            return Broken()

        assert library.run(hedging().execute, get) == "value"
        assert len(calls) == 2


def test_context_variables(library: Both, clock: VirtualClock) -> None:
    """Every attempt sees its caller's context variables; what it sets is its own (L3)."""
    variable = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []

    async def work() -> str:
        seen.append(variable.get())
        variable.set("mine")
        await library.pause(60 if len(seen) == 1 else 0.5)
        return "value"

    async def main() -> str:
        variable.set("callers")
        await hedging().execute(work)
        return variable.get()

    assert library.run(main) == "callers"
    assert seen == ["callers", "callers"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_control_flow_in_an_attempt_comes_out(library: Both, clock: VirtualClock, kind: type[BaseException]) -> None:
    """It stops the call at once, whatever the others do (G2)."""
    service = Service(clock, library, (60, "value"), (0.5, kind("stop")))

    async def main() -> str:
        try:
            await hedging().execute(service)
        except kind as stopped:
            return str(stopped)
        return "nothing"

    assert library.run(main) == "stop"
    assert service.log[-1] == (1.5, 1, "cancelled")


def test_recovery_off(library: Both, clock: VirtualClock) -> None:
    """While recovery is switched off there is one attempt, in its caller's task (G16)."""
    service = Service(clock, library, (60, "value"))
    with disabled():
        assert library.run(hedging().execute, service) == "value"
    assert service.calls == 1


def test_outside_any_loop() -> None:
    """A coroutine that is stepped by hand has one attempt: there is nothing to make tasks with."""

    async def work() -> str:
        return "value"

    coroutine = hedging()(work)()
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    assert caught.value.value == "value"


def test_what_cannot_be_hedged_is_refused() -> None:
    """Plain functions and generators are refused where they are decorated or executed, with the reason (G5, L3)."""

    def plain() -> None:
        """Never called."""

    def stream() -> Any:
        yield 1

    async def async_stream() -> AsyncIterator[int]:
        yield 1

    for target in (plain, lambda: asyncio.sleep(0)):
        with pytest.raises(TypeError, match=r"hedge needs an async function, and .* is not one: nothing can cancel"):
            hedging()(target)
        with pytest.raises(TypeError, match="hedge needs an async function"):
            asyncio.run(hedging().execute(target))
    with pytest.raises(TypeError, match="hedge needs an async function"):
        hedging().execute_sync(plain)
    for streaming in (stream, async_stream):
        with pytest.raises(TypeError, match=r"hedge cannot race two attempts of .*, a generator"):
            hedging()(streaming)


def test_no_reference_cycles(library: Both, clock: VirtualClock) -> None:
    """After a failed call nothing of ours keeps its arguments alive (G11)."""

    class Big:
        """Something of the caller's."""

    async def work(_: Big) -> None:
        await library.pause(1.5)
        raise OSError("down")

    strategy = hedging()

    async def main() -> weakref.ref[Big]:
        big = Big()
        reference = weakref.ref(big)
        try:
            await strategy.execute(work, big)
        except OSError:
            del big
        await library.pause(0)
        return reference

    gc.collect()
    gc.disable()
    try:
        reference = library.run(main)
        if library.library == "asyncio":  # the traceback of a nursery's errors is Trio's own matter
            assert reference() is None
    finally:
        gc.enable()
    gc.collect()
    assert reference() is None


def test_it_explains_itself() -> None:
    """What it does and the worst case, in words and numbers (G14)."""

    @hedging(max_attempts=3, grace=0.5)
    @deadline(4)
    async def fetch() -> None:
        """Never called."""

    explained = explain(fetch)
    assert explained.says[0] == (
        "makes up to 3 attempts at once, each started 1 s after the one before",
        "adds at most 0.1 attempts per call on average; the first success wins",
    )
    assert (explained.worst_calls, explained.worst_seconds) == (3, 6.5)

    @hedge(idempotent=True)
    @deadline(4)
    async def live() -> None:
        """Never called."""

    explained = explain(live)
    assert explained.says[0][0] == (
        "makes up to 2 attempts at once, each started when the one before takes longer than 95 % of the calls"
    )
    assert (explained.worst_calls, explained.worst_seconds) == (2, 8.1)


def test_a_shared_budget_is_explained() -> None:
    """The layer says whose budget it is (G14)."""

    @hedging(budget=RetryBudget(capacity=5, name="all"))
    async def fetch() -> None:
        """Never called."""

    assert explain(fetch).says[0][1] == (
        "adds at most what <RetryBudget 'all' 5 of 5 tokens> pays for; the first success wins"
    )


def test_repr() -> None:
    """It shows the delay that holds now."""
    assert repr(Hedge(HedgeConfig(idempotent=True), name="api")) == "<Hedge 'api' learning>"
    assert repr(hedging(delay=0.25)) == "<Hedge 'api' after 0.25 s>"
