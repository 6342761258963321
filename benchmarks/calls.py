"""What one call costs: each pattern alone and stacked, when all is well and when it acts."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from benchmarks import proofs
from benchmarks.libraries.base import PATTERNS, Colour, Missing
from benchmarks.timing import Contestant, compiled, figures, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.libraries.base import Function, Library
    from benchmarks.timing import Figure

__all__ = ["SCENARIOS", "Scenario", "run"]

HUGE = 10**9


def works(colour: Colour) -> Function:
    """Compile a function that returns what it gets."""
    begin = "async " if colour == "async" else ""
    function: Function = compiled(f"{begin}def work(x): return x", "work")
    return function


def method(colour: Colour) -> Function:
    """Compile a method that returns what it gets."""
    begin = "async " if colour == "async" else ""
    function: Function = compiled(f"{begin}def work(self, x): return x", "work")
    return function


def fails(colour: Colour) -> Function:
    """Compile a function that raises."""
    begin = "async " if colour == "async" else ""
    function: Function = compiled(f"{begin}def work(x): raise Boom", "work", Boom=proofs.Boom)
    return function


def protect(library: Library, pattern: str, fn: Function, colour: Colour) -> Function:
    """Put a pattern round a function, with room enough that it never acts by itself."""
    makers: dict[str, Callable[[], Function]] = {
        "retry": lambda: library.retry(fn, colour, 3),
        "breaker": lambda: library.breaker(fn, colour, 5),
        "bulkhead": lambda: library.bulkhead(fn, colour, 10),
        "rate_limit": lambda: library.rate_limit(fn, colour, HUGE, 1.0),
        "fallback": lambda: library.fallback(fn, colour, 42),
        "cache": lambda: library.cache(fn, colour),
        "deadline": lambda: library.deadline(fn, colour, 30.0),
        "stack": lambda: library.stack(fn, colour),
        "stack_deadline": lambda: library.stack_deadline(fn, colour),
    }
    return makers[pattern]()


@dataclass(frozen=True)
class Scenario:
    """What is called, and what the call meets.

    Attributes:
        name: Key.
        pattern: Which pattern has to be proved, and is put round the function.
        text: What it is, for readers.
        raises: Whether calls raise.
        method: Whether it is a method that is called.
        make: Gives what is called; raises `Missing` for libraries that do not have it.
    """

    name: str
    pattern: str
    text: str
    make: Callable[[Library, Colour], Any]
    raises: bool = False
    method: bool = False


def _happy(pattern: str) -> Callable[[Library, Colour], Any]:
    return lambda library, colour: protect(library, pattern, works(colour), colour)


def _bound(pattern: str) -> Callable[[Library, Colour], Any]:
    def make(library: Library, colour: Colour) -> Any:
        return type("Client", (), {"work": protect(library, pattern, method(colour), colour)})()

    return make


def _failing(pattern: str) -> Callable[[Library, Colour], Any]:
    return lambda library, colour: protect(library, pattern, fails(colour), colour)


def _full(library: Library, colour: Colour) -> Any:
    """Fill a bulkhead of one with a call that never ends."""
    if colour == "async":

        async def hold(x: int) -> int:
            if x == 0:
                await asyncio.Event().wait()
            return x

        fn = library.bulkhead(hold, colour, 1)
        task = asyncio.ensure_future(fn(0))
        _held.append(task)
        return fn

    def wait(x: int) -> int:
        if x == 0:
            threading.Event().wait()
        return x

    fn = library.bulkhead(wait, colour, 1)
    threading.Thread(target=fn, args=(0,), daemon=True).start()
    return fn


def _empty(library: Library, colour: Colour) -> Any:
    """Take the one call of the hour from a rate limit."""
    return library.rate_limit(works(colour), colour, 1, 3600.0)


_held: list[Any] = []  # tasks that a loop knows only weakly

_TEXTS = {
    "retry": "retry, nothing fails",
    "breaker": "circuit breaker, closed",
    "bulkhead": "bulkhead, free",
    "rate_limit": "rate limit, free",
    "fallback": "fallback, not used",
    "cache": "cache, hit",
    "deadline": "deadline, the call does not suspend",
    "stack": "fallback, retry, breaker and bulkhead",
    "stack_deadline": "the same with a deadline for each attempt",
}

SCENARIOS = (
    *(Scenario(name, name, _TEXTS[name], _happy(name)) for name in PATTERNS),
    *(
        Scenario(f"{name}_method", name, f"{_TEXTS[name]}: a method", _bound(name), method=True)
        for name in ("retry", "breaker", "stack")
    ),
    Scenario("retry_fails", "retry", "three failing attempts, no delay", _failing("retry"), raises=True),
    Scenario("breaker_open", "breaker", "an open breaker refuses", _failing("breaker"), raises=True),
    Scenario("bulkhead_full", "bulkhead", "a full bulkhead refuses", _full, raises=True),
    Scenario("rate_limit_empty", "rate_limit", "an empty rate limit refuses", _empty, raises=True),
    Scenario("fallback_used", "fallback", "fallback, used", _failing("fallback")),
)

_REFUSING = ("breaker_open", "bulkhead_full", "rate_limit_empty")


async def run(
    libraries: Sequence[Library], wanted: Sequence[str], rounds: int
) -> dict[tuple[str, Colour], list[Figure]]:
    """Time all scenarios, or those wanted, in both colours; what a library cannot do is said on standard error."""
    found: dict[tuple[str, Colour], list[Figure]] = {}
    for scenario in SCENARIOS:
        if wanted and scenario.name not in wanted:
            continue
        for colour in get_args(Colour):
            contestants = [each for library in libraries for each in await _entered(scenario, library, colour)]
            if contestants:
                await measure(contestants, rounds)
                found[scenario.name, colour] = figures(contestants)
                print(f"{scenario.name} {colour}: {len(contestants)} measured", file=sys.stderr)
    return found


async def _entered(scenario: Scenario, library: Library, colour: Colour) -> list[Contestant]:
    """Give the library as a contestant if it has what the scenario asks for."""
    wrong = await proofs.proved(library, scenario.pattern, colour)
    if wrong:
        print(f"{library.name}: not measured in {scenario.name} {colour}: {wrong}", file=sys.stderr)
    if wrong is None or wrong:
        return []
    try:
        target = scenario.make(library, colour)
    except Missing:
        return []
    if scenario.name in _REFUSING:
        for _ in range(10):
            await proofs.refuses(target, colour)
        if not await proofs.refuses(target, colour):
            return []  # it waits instead, which is another scenario
    return [Contestant(library.name, target, colour, raises=scenario.raises, method=scenario.method)]
