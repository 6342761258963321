"""Values that people, programs and attackers put in."""

from __future__ import annotations

import asyncio
import decimal
import enum
import fractions
import functools
import os
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from recoup import BackoffStrategy, RecoveryStrategy, RetryAfter, RetryBudget, when
from recoup.errors import BulkheadFullError

__all__ = ["ANYTHING", "CALLABLES", "CONDITIONS", "DURATIONS", "EXAMPLES", "NUMBERS", "WORDS"]


EXAMPLES = settings(
    max_examples=int(os.environ.get("RECOUP_FUZZ", "100")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Unshowable:
    """Something whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Endless:
    """Something whose repr is long."""

    def __repr__(self) -> str:
        return "x" * 100_000


class Number(int):
    """A subclass of int."""


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 1000


class Word(str):
    """A subclass of str."""

    __slots__ = ()


class Picky(Exception):
    """An exception that cannot be made without arguments."""

    def __init__(self, needed: object) -> None:
        super().__init__(needed)


class Odd(ArithmeticError):
    """An exception that raises something else when it is made."""

    def __init__(self) -> None:
        raise LookupError("not even this works")


async def coroutine(*args: object) -> None:
    """Be asynchronous."""


def generator(*args: object) -> Any:
    """Be a generator function."""
    yield 1


def one(first: object) -> bool:
    """Take one."""
    return bool(first)


def three(first: object, second: object, third: object, *, fourth: object) -> bool:
    """Take more than anybody gives."""
    return bool(first)


class Callable1:
    def __call__(self, *args: object) -> float:
        return 1.0


class AsyncCallable:
    async def __call__(self, *args: object) -> None: ...


NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 20),
    st.integers(),
    st.sampled_from((0, 1, 10, 100, 1000, 2**63, -(2**63), 10**400, -(10**400))),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from((0.0, -0.0, 0.5, 1.0, 1.5, 5e-324, 1e308, float("nan"), float("inf"), float("-inf"))),
    st.booleans(),
    st.sampled_from((Number(7), Level.LOW, Level.HIGH, decimal.Decimal("1.5"), decimal.Decimal("NaN"))),
    st.just(fractions.Fraction(1, 3)),
    st.just(3 + 4j),
)
DURATIONS: st.SearchStrategy[Any] = st.one_of(
    st.floats(0.001, 100), st.timedeltas(), st.sampled_from((timedelta.max, timedelta.min, timedelta(0))), NUMBERS
)
WORDS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([each.value for kind in (BackoffStrategy, RecoveryStrategy, RetryAfter) for each in kind]),
    st.sampled_from(("allow", "once", "repeat", "resume", "smooth", "window", "cooperative", "thread", "fair")),
    st.sampled_from(("oldest_first", "priority", "newest_first", "EXPONENTIAL", "", " ", "\x00", "\ud800", "1", "1.5")),
    st.sampled_from([*BackoffStrategy, *RecoveryStrategy, *RetryAfter]),
    st.builds(Word, st.text(max_size=5)),
    st.text(max_size=10),
    st.binary(max_size=5),
)
CALLABLES: st.SearchStrategy[Any] = st.sampled_from(
    (
        len, print, int, dict, type, object, functools.partial(one), functools.partial(coroutine), coroutine, generator,
        one, three, Callable1(), Callable1, AsyncCallable(), lambda: None, lambda *_: True, lambda _=1: 0.5,
        asyncio.sleep, "text".upper, staticmethod(one), classmethod(one), property(one), min, range, max,
    )
)  # fmt: skip
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from(
            (
                Exception, OSError, ValueError, TimeoutError, BaseException, KeyboardInterrupt, SystemExit, Picky, Odd,
                asyncio.CancelledError, ExceptionGroup, BaseExceptionGroup, int, object, type, BulkheadFullError,
                when(OSError), ~when(OSError), when(one) & when(ValueError), OSError(), StopIteration, GeneratorExit,
            )
        ),
        CALLABLES,
        st.none(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.tuples(inner, st.integers())
    ),
    max_leaves=4,
)  # fmt: skip
CONTAINERS: st.SearchStrategy[Any] = st.one_of(
    st.lists(DURATIONS, max_size=4),
    st.lists(WORDS, max_size=3),
    st.lists(st.floats(0, 10), max_size=3).map(tuple),
    st.lists(st.floats(0, 10), min_size=1, max_size=3).map(iter),
    st.sampled_from(({}, {1: 2}, {1.0, 2.0}, frozenset({1}), range(3), range(0), b"ab", bytearray(b"ab"), generator())),
    st.lists(CALLABLES, max_size=3),
)
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    NUMBERS,
    DURATIONS,
    WORDS,
    CALLABLES,
    CONDITIONS,
    CONTAINERS,
    st.sampled_from((Unshowable(), Endless(), object(), NotImplemented, ..., date(2026, 11, 23), RetryBudget())),
)
