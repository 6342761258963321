"""What every strategy object and public decorator has in common."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from recoup import RetryExecutor, retry
from recoup._core.strategy import Place, Strategy
from tests.conftest import Both


async def coroutine() -> str:
    return "async"


def stream() -> Any:
    yield 1


@pytest.mark.parametrize("name", ["", 5, b"x"])
def test_names_are_strings(name: Any) -> None:
    """And not empty."""
    with pytest.raises(TypeError, match="name must be a non-empty string or None"):
        RetryExecutor(name=name)


def test_the_wrong_config_is_refused() -> None:
    """An object of another class is named."""
    with pytest.raises(TypeError, match="config must be a RetryConfig, not 3"):
        RetryExecutor(3)  # type: ignore[arg-type]


def test_async_callbacks_refuse_plain_functions() -> None:
    """At decoration and at execution, with what to do instead (G9)."""

    async def callback(*args: Any) -> None: ...

    message = "on_retry of retry is an async function, but .* is synchronous and cannot await: give a plain function"
    with pytest.raises(TypeError, match=message):
        retry(on_retry=callback)(lambda: 1)
    with pytest.raises(TypeError, match=message):
        retry(on_retry=functools.partial(callback)).execute_sync(lambda: 1)
    with pytest.raises(TypeError, match=message):
        retry(on_retry=callback)(stream)
    with pytest.raises(TypeError, match="on_retry and on_failure of retry are async functions"):
        retry(on_retry=callback, on_failure=callback)(lambda: 1)
    assert asyncio.run(retry(on_retry=callback)(coroutine)()) == "async"
    assert asyncio.run(retry(on_retry=callback).execute(lambda: 1)) == 1


def test_execute_takes_functions_of_either_colour() -> None:
    """An awaitable is awaited, a value is returned, arguments are passed on."""
    executor = RetryExecutor()

    def returns_coroutine() -> Any:
        return coroutine()

    for function in (coroutine, functools.partial(coroutine), returns_coroutine):
        assert asyncio.run(executor.execute(function)) == "async"
    assert asyncio.run(executor.execute(lambda a, *, b: (a, b), 1, b=2)) == (1, 2)
    assert executor.execute_sync(lambda a, *, b: (a, b), 1, b=2) == (1, 2)


def test_execute_sync_refuses_what_it_cannot_await() -> None:
    """A coroutine function before it runs, a coroutine after; neither is left un-awaited."""
    with pytest.raises(TypeError, match="'coroutine' is asynchronous: it cannot run in a synchronous call"):
        RetryExecutor().execute_sync(coroutine)  # type: ignore[unused-coroutine]
    with pytest.raises(TypeError, match="returned a coroutine, which a synchronous call cannot await"):
        RetryExecutor().execute_sync(lambda *_: coroutine())  # type: ignore[unused-coroutine]


def test_generators_cannot_be_executed(both: Both) -> None:
    """They give their answer piece by piece."""
    with pytest.raises(TypeError, match=r"'stream' is a generator function.*decorate it instead"):
        both.execute(RetryExecutor(), stream)


def test_what_is_no_callable_cannot_be_executed(both: Both) -> None:
    """The message says what was given."""
    with pytest.raises(TypeError, match="'int' is not callable"):
        both.execute(RetryExecutor(), 5)  # type: ignore[arg-type]


def test_a_bridge_runs_the_inner_layers_synchronously() -> None:
    """A layer may take a plain function across to asynchronous code; what is inside it stays plain."""
    from recoup._core import chain
    from recoup._core.colour import Colour
    from recoup._core.strategy import Pump

    colours: list[tuple[str, Colour, int]] = []

    class Layer(Strategy):
        kind = "layer"

        def __init__(self, name: str, *, bridges: bool = False) -> None:
            super().__init__(name=name)
            self._bridges = bridges

        def _pumps(self, place: Place) -> list[Pump]:
            colours.append((self.name, place.colour, len(place.outer)))
            return []

        def _bridge(self, place: Place) -> Pump | None:
            def crossing(fn: Any) -> Any:
                async def crossing(*args: Any) -> Any:
                    return ("crossed", fn(*args))

                return crossing

            return Pump(crossing) if self._bridges else None

    layers = (Layer("outer"), Layer("bridge", bridges=True), Layer("inner"))
    composed: Any = chain.composed_async(layers, lambda x: x)
    assert asyncio.run(composed(5)) == ("crossed", 5)
    assert colours == [("inner", Colour.SYNC, 2), ("outer", Colour.ASYNC, 0)]


def test_the_base_has_no_pumps() -> None:
    """A strategy says what it does."""
    from recoup._core.colour import Colour

    with pytest.raises(NotImplementedError):
        Strategy()._pumps(Place(None, (), Colour.SYNC))
