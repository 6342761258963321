"""Faults that a review found at the edges of the core: streams, callbacks, foreign loops, copies (G5-G17)."""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, CircuitBreaker, ErrorRecoveryWorkflow, RetryExecutor, retry
from recoup._core import emit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def answers_exit() -> Iterator[int]:
    """Return a value when closed."""
    try:
        yield 1
    except GeneratorExit:
        return 5  # type: ignore[return-value]  # a generator's value


def goes_on() -> Iterator[int]:
    """Yield once more when closed."""
    try:
        yield 1
    except GeneratorExit:
        yield 2


def turns_exit() -> Iterator[int]:
    """Fail when closed."""
    try:
        yield 1
    except GeneratorExit:
        raise KeyError("while closing") from None


def ends() -> Iterator[int]:
    """Take no notice."""
    yield 1


def outcome(step: Callable[[], object]) -> tuple[str, str]:
    """Tell what a step gives, or which error with which text."""
    try:
        return "gave", repr(step())
    except BaseException as error:  # noqa: BLE001 - GeneratorExit is one of the outcomes
        return type(error).__name__, str(error)


PROGRAMS = [answers_exit, goes_on, turns_exit, ends]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("begun", [False, True])
def test_throwing_generator_exit_is_as_without_the_decorator(program: Any, begun: bool) -> None:
    """The generator itself decides what GeneratorExit comes to (G2, G5)."""

    def run(function: Any) -> list[tuple[str, str]]:
        stream = function()
        if begun:
            next(stream)
        return [outcome(lambda: stream.throw(GeneratorExit)), outcome(lambda: next(stream))]

    assert run(retry(program)) == run(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_closing_is_as_without_the_decorator(program: Any) -> None:
    """`close()` gives the value from Python 3.13 on, and None before (G2, G5)."""

    def run(function: Any) -> tuple[str, str]:
        stream = function()
        next(stream)
        told = outcome(stream.close)
        # the words name the generator in one case and not in the other
        return (told[0], "") if told[0] == "RuntimeError" else told

    assert run(retry(program)) == run(program)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close() gives no value before 3.13")
def test_closing_gives_the_value() -> None:
    """What a generator returns when it is closed comes out of `close()` (G5)."""
    stream: Any = retry(answers_exit)()
    next(stream)
    assert stream.close() == 5


@pytest.mark.parametrize("program", PROGRAMS)
def test_throwing_into_an_async_generator_is_as_without_the_decorator(program: Any) -> None:
    """The async twin obeys its generator too (G2, G5)."""

    async def closes() -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit:
            if program is goes_on:
                yield 2
            elif program is turns_exit:
                raise KeyError("while closing") from None
            elif program is ends:
                raise

    async def run(function: Any) -> list[str]:
        told = []
        for end in ("athrow", "aclose"):
            stream = function()
            await anext(stream)
            try:
                told.append(repr(await (stream.athrow(GeneratorExit) if end == "athrow" else stream.aclose())))
            except BaseException as error:  # noqa: BLE001 - GeneratorExit is one of the outcomes
                told.append(type(error).__name__)
        return told

    async def both() -> tuple[list[str], list[str]]:
        return await run(retry(closes)), await run(closes)

    decorated, plain = asyncio.run(both())
    assert decorated == plain


def _first(*_: object) -> None:
    raise KeyError("first")


def _second(*_: object) -> None:
    raise KeyError("second")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            lambda *_: _first(),
            lambda *_: _second(),
            id="lambdas",
        ),
        pytest.param(functools.partial(_first, "x"), functools.partial(_second, "x"), id="partials"),
        pytest.param((lambda *_: _first()), (lambda *_: _second()), id="lambdas of one line"),
    ],
)
def test_each_callback_that_raises_is_logged(first: Any, second: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks that share a name are different callbacks all the same (G9)."""
    emit._logged.clear()
    _raise_from((first, second), caplog)
    assert len(caplog.records) == 2


def _raise_from(callbacks: Any, caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        raise ConnectionError("x")

    with caplog.at_level(logging.WARNING, logger="recoup"):
        for callback in callbacks:
            with pytest.raises(ConnectionError, match="x"):
                retry(max_attempts=2, initial_delay=0, on_retry=callback)(work)()


def test_a_trio_that_is_being_imported_does_not_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be half way through importing it (G15)."""
    monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))

    @retry(max_attempts=2, initial_delay=0)
    async def work() -> None:
        raise ConnectionError("mine")

    with pytest.raises(ConnectionError, match="mine"):
        asyncio.run(work())


@pytest.mark.parametrize("strategy", [CircuitBreaker(), Bulkhead(), RetryExecutor(), ErrorRecoveryWorkflow()])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_strategy_is_the_strategy(strategy: Any, copied: Callable[[Any], Any]) -> None:
    """A second breaker of the same dependency would protect nobody (G7)."""
    assert copied(strategy) is strategy
    assert copied({"client": strategy})["client"] is strategy
