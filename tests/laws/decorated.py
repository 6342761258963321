"""Modules full of decorated things, one for each public decorator."""

from __future__ import annotations

import sys
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING

import recoup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Every public decorator, as a program would write it; what may fail is tried at most three times.
EXPRESSIONS = {
    "adaptive_throttle": "recoup.adaptive_throttle(multiplier=1000)",
    "bulkhead": "recoup.bulkhead(max_concurrent=2)",
    "cached": "recoup.cached(60)",
    "circuit_breaker": "recoup.circuit_breaker(failure_threshold=3, timeout=30)",
    "compensate": "recoup.compensate(undone.append)",
    "deadline": 'recoup.deadline(5, mode="cooperative")',
    "fallback": 'recoup.fallback(fallback_value=["instead"])',
    "inject_faults": "recoup.inject_faults(error=OSError, delay=1)",
    "rate_limit": "recoup.rate_limit(rate=1000)",
    "retry": "recoup.retry(max_attempts=3, initial_delay=1, jitter_range=0)",
    "ErrorRecoveryWorkflow": (
        "recoup.ErrorRecoveryWorkflow(recoup.ErrorRecoveryConfig("
        "log_errors=False, retry_config=recoup.RetryConfig(jitter_range=0)))"
    ),
}
# The same with options that see a call's arguments.
SEEING = {
    "cached:key": "recoup.cached(60, key=lambda *args, **kwargs: (args, sorted(kwargs)))",
    "compensate:state": "recoup.compensate(lambda state: undone.append({**state, 'error': None}))",
    "fallback:cache": "recoup.fallback(use_cache=True)",
    "fallback:function": "recoup.fallback(fallback_function=seen, with_arguments=True)",
    "fallback:service": "recoup.fallback(fallback_service=seen)",
    "fallback:url": "recoup.fallback(fallback_service='url', service_argument='c')",
    "inject_faults:armed": "armed(recoup.inject_faults(predicate=seen, delay=1, change_result=seen))",
    "inject_faults:errors": "armed(recoup.inject_faults(predicate=picked, error=OSError))",
    "rate_limit:each": (
        "recoup.rate_limit(rate=1000, weight=lambda *args, **kwargs: bool(seen(*args, **kwargs)) + 1,"
        " key=lambda *args, **kwargs: str(picked(*args, **kwargs)))"
    ),
}
OTHERS = {  # public functions that are no decorators
    "create_circuit_breaker_workflow",
    "create_retry_workflow",
    "current_deadline",
    "disable",
    "explain",
    "force_open",
    "hedge",  # a decorator, but of async functions only: it has tests of its own
    "isolate",  # a decorator, but of functions that other processes can find: it has tests of its own
    "layers_of",
    "metrics_only",
    "queue_as",
    "registry",
    "saga",
    "set_nested_retries",
    "subscribe",
    "time_left",
    "when",
}
PRESENT = [name for name in sorted(EXPRESSIONS) if name in recoup.__all__]
SEEING_PRESENT = [name for name in sorted(SEEING) if name.partition(":")[0] in recoup.__all__]
STREAMS_REFUSED = {
    "cached",
    "cached:key",
    "fallback:cache",
}  # what is handed out piece by piece cannot be kept and given again

SOURCE = """
import functools
import recoup

undone, calls = [], []

def seen(*args, **kwargs):
    return [args, kwargs]

def picked(*args, **kwargs):
    undone.append([args, kwargs])
    return 3 in args

def armed(faults):
    faults.arm()
    return faults

decorator = {expression}

def plain(a, b=2, /, c=3, *, error=None, again=0):
    calls.append((a, b, c))
    if len(calls) <= again or error is not None:
        raise (error or ConnectionError)(a)
    return a, b, c

@decorator
def function(a, b=2, /, c=3, *, error=None, again=0):
    return plain(a, b, c, error=error, again=again)

@decorator
def anything(*args, **kwargs):
    return plain(*args, **kwargs)

@decorator
def surprising(a, b=2, /, c=3, *, error=None, again=0):
    async def coroutine():
        return plain(a, b, c, error=error, again=again)
    return coroutine()

@decorator
async def coroutine(a, b=2, /, c=3, *, error=None, again=0):
    return plain(a, b, c, error=error, again=again)

class Caller:
    def __call__(self, a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

caller = decorator(Caller())
partial = decorator(functools.partial(plain, 1))

class Thing:
    def __repr__(self):
        return "thing"

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return 1

    @decorator
    def method(self, a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

    @decorator
    async def coroutine(self, a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

    @classmethod
    @decorator
    def class_outside(cls, a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

    @decorator
    @classmethod
    def class_inside(cls, a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

    @staticmethod
    @decorator
    def static_outside(a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

    @decorator
    @staticmethod
    def static_inside(a, b=2, /, c=3, *, error=None, again=0):
        return plain(a, b, c, error=error, again=again)

    class Inner:
        @decorator
        def method(self, a, c=1):
            return a

thing = Thing()
"""
STREAMS = """
@decorator
def stream(a, b=2, /, c=3, *, error=None, again=0):
    yield "first"
    yield plain(a, b, c, error=error, again=again)

@decorator
async def async_stream(a, b=2, /, c=3, *, error=None, again=0):
    yield "first"
    yield plain(a, b, c, error=error, again=again)
"""
NUMBER = count()


def module(name: str) -> ModuleType:
    """Make a module of things decorated with a public decorator, as fresh as a program that starts."""
    made = ModuleType(f"decorated_{next(NUMBER)}")
    sys.modules[made.__name__] = made  # pickle looks for it
    source = SOURCE.format(expression={**EXPRESSIONS, **SEEING}[name]) + ("" if name in STREAMS_REFUSED else STREAMS)
    exec(source, vars(made))  # noqa: S102 - the same lines for each decorator
    return made


def forget() -> None:
    """Take the modules away."""
    for name in [name for name in sys.modules if name.startswith("decorated_")]:
        del sys.modules[name]


def unlisted(names: Iterable[str]) -> Iterator[str]:
    """Every public function is listed as a decorator or as none."""
    for name in names:
        if name == name.lower() and name not in EXPRESSIONS and name not in OTHERS:
            yield f"{name} is public: say in tests/laws/decorated.py whether it is a decorator"
