"""What calls cost, counted and not timed: the opcodes that the interpreter executes for one call.

    python -m tests.laws.costs

writes the counts of this Python anew (`costs-3.13.json` and its like), which the law compares with. A count is the same
on every machine, however busy, so the law cannot flake; and it says nothing about what C code costs: to learn how long
a call takes, `make bench`.

What is counted: one call as a user makes it, with everything that recoup, the standard library and the user's function
execute for it in Python; but for asyncio, whose own cost changes with its patches. The least of several calls counts,
because now and then a call tidies up for many others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import sys
import sysconfig
import threading
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import recoup
from benchmarks.calls import SCENARIOS, fails, protect, works
from benchmarks.libraries.base import Colour, Missing
from benchmarks.libraries.recoup_ import library
from benchmarks.proofs import Boom, outcome
from recoup._core import clock, emit
from tests.laws.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import CodeType, FrameType
    from typing import Self

    Counts = Mapping[str, int]

__all__ = ["AGAIN", "VERSION", "baseline", "counts", "dearer", "main", "opcodes", "unknown"]

AGAIN = "find out why; if it is worth it, run `python -m tests.laws.costs` with this Python and say why in the commit"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_MARGIN = 0.05
_WARM, _CALLS = 20, 5  # calls before those that count (a breaker opens, a cache fills), and those that count
_numbers = count()
_LEFT_OUT = (str(Path(asyncio.__file__).parent), __file__)
_REFUSING = ("breaker_open", "bulkhead_full", "rate_limit_empty")
_RACES = ("deadline sync",)  # a thread answers: what the caller does depends on who is first
_TOOL = 4  # of sys.monitoring; any that nobody else has


def opcodes(call: Callable[[], object]) -> int:
    """Count what the interpreter executes for a call, in Python functions."""
    with _Counter() as counter:
        call()
    return counter.opcodes


class _Counter:
    """Counts the opcodes of this thread while its block runs, but for those of this file and of asyncio."""

    def __init__(self) -> None:
        self.opcodes = 0
        self._thread = threading.get_ident()
        self._outer: Any = None

    def __enter__(self) -> Self:
        if sys.version_info < (3, 12):
            self._outer = sys.gettrace()
            sys.settrace(self._trace)
        else:  # settrace does not see every opcode there
            sys.monitoring.use_tool_id(_TOOL, "costs")
            sys.monitoring.register_callback(_TOOL, sys.monitoring.events.INSTRUCTION, self._count)
            sys.monitoring.set_events(_TOOL, sys.monitoring.events.INSTRUCTION)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.version_info < (3, 12):
            sys.settrace(self._outer)
        else:
            sys.monitoring.set_events(_TOOL, 0)
            sys.monitoring.free_tool_id(_TOOL)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self._count(frame.f_code, 0)
        return self._trace

    def _count(self, code: CodeType, _: int) -> None:
        if threading.get_ident() == self._thread and not code.co_filename.startswith(_LEFT_OUT):
            self.opcodes += 1


async def counts() -> dict[str, int]:
    """Count all scenarios, in both colours as far as they exist."""
    found = {}
    gc.disable()  # a finaliser would be counted
    real = clock.monotonic
    try:
        for name, target in _targets():
            # What is said of a call that took long is worded anew. (Timers want the clock that the event loop has.)
            clock.monotonic = count(real(), 1e-7).__next__ if name.startswith("retry") else real
            # A task of its own, where no deadline has been open before.
            found[name] = await asyncio.create_task(_least(target, refuses=name.startswith(_REFUSING)))
        found |= _decorating()
    finally:
        clock.monotonic = real
        gc.enable()
    return found


async def _least(target: Callable[..., Any], *, refuses: bool) -> int:
    """Count some calls of one function."""
    for _ in range(_WARM):
        await outcome(target, 1)
    if refuses:
        await _refused(target)
    return min([await _once(target) for _ in range(_CALLS)])


async def _refused(target: Callable[..., Any]) -> None:
    """Wait until a call is refused: whoever takes the last place first has to get there."""
    while not isinstance(await outcome(target, 1), recoup.Refusal):  # noqa: ASYNC110 - asking is the only way to know
        await asyncio.sleep(0.001)


async def _once(target: Callable[..., Any]) -> int:
    """Count one call, in the colour of the function."""
    counter = _Counter()
    try:
        with counter:
            result = target(1)
            if hasattr(result, "__await__"):
                await result
    except Exception as error:
        if not isinstance(error, (Boom, recoup.Refusal)):
            raise
    return counter.opcodes


def _targets() -> Iterator[tuple[str, Any]]:
    """Give what is called, by name: everything that `make bench` times, and what has no peers."""
    for colour in get_args(Colour):
        for scenario in SCENARIOS:
            try:
                target = scenario.make(library, colour)
            except Missing:
                continue
            if (name := f"{scenario.name} {colour}") not in _RACES:
                yield name, target.work if scenario.method else target
        for name, make in _MORE.items():
            yield f"{name} {colour}", make(colour)
    yield "deadline_suspends async", recoup.deadline(30)(_suspends)
    yield "hedge async", recoup.hedge(delay=3600, idempotent=True)(works("async"))
    subscription = recoup.subscribe(_hear)
    for name in ("retry_fails", "breaker_open"):
        [scenario] = [each for each in SCENARIOS if each.name == name]
        yield f"{name}_heard sync", scenario.make(library, "sync")
    subscription.cancel()


def _hear(event: object) -> None:
    """Listen."""


async def _suspends(x: int) -> int:
    await asyncio.sleep(0)
    return x


def _missing(colour: Colour) -> Any:
    """Have a cache keep only what is no answer to the next call."""
    return recoup.cached(ttl=3600, key=_fresh)(works(colour))


def _fresh(x: int) -> int:
    return next(_numbers)


def _workflow(fn: Any) -> Any:
    """Put a workflow of the usual four round a function."""
    config = recoup.ErrorRecoveryConfig(
        retry_config=recoup.RetryConfig(initial_delay=0),
        circuit_breaker_config=recoup.CircuitBreakerConfig(timeout=3600),
        fallback_config=recoup.FallbackConfig(fallback_value=42),
        bulkhead_config=recoup.BulkheadConfig(),
        log_errors=False,
    )
    return recoup.ErrorRecoveryWorkflow(config)(fn)


_MORE: dict[str, Callable[[Colour], Any]] = {
    "bare": works,
    "breaker_fails": lambda colour: recoup.circuit_breaker(failure_threshold=10**6)(fails(colour)),
    "bulkhead_fails": lambda colour: protect(library, "bulkhead", fails(colour), colour),
    "rate_limit_fails": lambda colour: protect(library, "rate_limit", fails(colour), colour),
    "cache_miss": _missing,
    "stack_fails": lambda colour: library.stack(fails(colour), colour),
    "compensate": lambda colour: recoup.compensate(_hear)(works(colour)),
    "compensate_fails": lambda colour: recoup.compensate(_hear)(fails(colour)),
    "throttle": lambda colour: recoup.adaptive_throttle()(works(colour)),
    "faults_unarmed": lambda colour: recoup.inject_faults(error=OSError)(works(colour)),
    "deadline_cooperative": lambda colour: recoup.deadline(30, mode=_MODES[colour])(works(colour)),
    "workflow": lambda colour: _workflow(works(colour)),
    "workflow_fails": lambda colour: _workflow(fails(colour)),
}
_MODES: dict[str, Any] = {"sync": "cooperative", "async": None}


def _decorating() -> dict[str, int]:
    """Count decorations of a shape that was seen before: with a shared object, and by `@retry` alone."""
    found = {}
    ways: dict[str, Callable[[Any], Any]]
    ways = {"executor": recoup.RetryExecutor(), "bare": recoup.retry, "breaker": recoup.CircuitBreaker()}
    for name, decorate in ways.items():
        for colour in get_args(Colour):
            functions = [works(colour) for _ in range(_WARM + _CALLS)]
            spent = [opcodes(partial(decorate, function)) for function in functions]
            found[f"decorate_{name} {colour}"] = min(spent)
    return found


def unknown(version: str = VERSION) -> str:
    """Say why there is nothing to compare with on this Python; an empty text if there is."""
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "costs are counted on CPython with its lock only"
    if not _path(version).exists():
        return f"no counts are kept for Python {version}: `python -m tests.laws.costs` keeps some"
    return ""


def baseline() -> Counts:
    """Read the counts that are kept for this Python."""
    kept: Counts = json.loads(_path(VERSION).read_text(encoding="utf-8"))
    return kept


def _path(version: str) -> Path:
    return Path(__file__).with_name(f"costs-{version}.json")


def dearer(now: Counts, kept: Counts) -> Iterator[str]:
    """Name what costs more than it did, is new or is gone; a margin is left for patches of the interpreter."""
    for name in sorted({*now, *kept}):
        if name not in kept:
            yield f"{name}: {now[name]} opcodes, and nothing to compare with: run `python -m tests.laws.costs`"
        elif name not in now:
            yield f"{name}: not counted any more: run `python -m tests.laws.costs`"
        elif now[name] > kept[name] * (1 + _MARGIN):
            yield f"{name}: {now[name]} opcodes where it was {kept[name]}; {AGAIN}"


def main() -> None:
    """Print the counts, or keep them."""
    assert not emit.listeners, "somebody listens"
    found = asyncio.run(counts())
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
        return
    path = _path(VERSION)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {len(found)} counts\n")


if __name__ == "__main__":
    main()
