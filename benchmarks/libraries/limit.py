"""The limit: what somebody would write by hand for one function, with the least that deserves the name.

It counts what it must, has no locks on the way of a success, no names, no events, no cancellation safety: not something
to use, but what all others are measured by. The functions take `*args, **kwargs`, as nearly every library's do.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Any

from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Refused(Exception):
    """The limit's only refusal."""


class Limit(Library):
    name = "limit"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        if colour == "sync":

            @functools.wraps(fn)
            def retrying(*args: Any, **kwargs: Any) -> Any:
                left = attempts
                while True:
                    try:
                        return fn(*args, **kwargs)
                    except Exception:
                        left -= 1
                        if not left:
                            raise

            return retrying

        @functools.wraps(fn)
        async def retrying_async(*args: Any, **kwargs: Any) -> Any:
            left = attempts
            while True:
                try:
                    return await fn(*args, **kwargs)
                except Exception:
                    left -= 1
                    if not left:
                        raise

        return retrying_async

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        failed = 0
        until = 0.0

        def note() -> None:
            nonlocal failed, until
            failed += 1
            if failed >= failures:
                until = monotonic() + HOUR

        if colour == "sync":

            @functools.wraps(fn)
            def breaking(*args: Any, **kwargs: Any) -> Any:
                nonlocal failed
                if until and monotonic() < until:
                    raise Refused
                try:
                    result = fn(*args, **kwargs)
                except Exception:
                    note()
                    raise
                failed = 0
                return result

            return breaking

        @functools.wraps(fn)
        async def breaking_async(*args: Any, **kwargs: Any) -> Any:
            nonlocal failed
            if until and monotonic() < until:
                raise Refused
            try:
                result = await fn(*args, **kwargs)
            except Exception:
                note()
                raise
            failed = 0
            return result

        return breaking_async

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        running = 0
        if colour == "sync":

            @functools.wraps(fn)
            def limiting(*args: Any, **kwargs: Any) -> Any:
                nonlocal running
                if running >= limit:
                    raise Refused
                running += 1
                try:
                    return fn(*args, **kwargs)
                finally:
                    running -= 1

            return limiting

        @functools.wraps(fn)
        async def limiting_async(*args: Any, **kwargs: Any) -> Any:
            nonlocal running
            if running >= limit:
                raise Refused
            running += 1
            try:
                return await fn(*args, **kwargs)
            finally:
                running -= 1

        return limiting_async

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        if colour == "sync":
            places = threading.Semaphore(limit)

            @functools.wraps(fn)
            def waiting(*args: Any, **kwargs: Any) -> Any:
                with places:
                    return fn(*args, **kwargs)

            return waiting
        seats = asyncio.Semaphore(limit)

        @functools.wraps(fn)
        async def waiting_async(*args: Any, **kwargs: Any) -> Any:
            async with seats:
                return await fn(*args, **kwargs)

        return waiting_async

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        interval, burst = per / rate, per
        due = 0.0

        def take() -> None:
            nonlocal due
            now = monotonic()
            if due < now:
                due = now
            elif due + interval - now > burst:
                raise Refused
            due += interval

        if colour == "sync":

            @functools.wraps(fn)
            def limiting(*args: Any, **kwargs: Any) -> Any:
                take()
                return fn(*args, **kwargs)

            return limiting

        @functools.wraps(fn)
        async def limiting_async(*args: Any, **kwargs: Any) -> Any:
            take()
            return await fn(*args, **kwargs)

        return limiting_async

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        if colour == "sync":

            @functools.wraps(fn)
            def answering(*args: Any, **kwargs: Any) -> Any:
                try:
                    return fn(*args, **kwargs)
                except Exception:  # noqa: BLE001 - that is what a fallback does
                    return value

            return answering

        @functools.wraps(fn)
        async def answering_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await fn(*args, **kwargs)
            except Exception:  # noqa: BLE001 - as above
                return value

        return answering_async

    def cache(self, fn: Function, colour: Colour) -> Function:
        kept: OrderedDict[Any, tuple[float, Any]] = OrderedDict()

        def keep(key: Any, result: Any) -> None:
            kept[key] = monotonic() + HOUR, result
            if len(kept) > 1000:
                kept.popitem(last=False)

        if colour == "sync":

            @functools.wraps(fn)
            def caching(*args: Any, **kwargs: Any) -> Any:
                key = args if not kwargs else (args, *sorted(kwargs.items()))
                found = kept.get(key)
                if found is not None and monotonic() < found[0]:
                    kept.move_to_end(key)
                    return found[1]
                result = fn(*args, **kwargs)
                keep(key, result)
                return result

            return caching

        @functools.wraps(fn)
        async def caching_async(*args: Any, **kwargs: Any) -> Any:
            key = args if not kwargs else (args, *sorted(kwargs.items()))
            found = kept.get(key)
            if found is not None and monotonic() < found[0]:
                kept.move_to_end(key)
                return found[1]
            result = await fn(*args, **kwargs)
            keep(key, result)
            return result

        return caching_async

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        if colour == "sync":
            raise Missing  # nothing by hand interrupts a plain function

        @functools.wraps(fn)
        async def limiting_async(*args: Any, **kwargs: Any) -> Any:
            async with asyncio.timeout(seconds):
                return await fn(*args, **kwargs)

        return limiting_async

    def stack(self, fn: Function, colour: Colour) -> Function:
        fn = self.breaker(self.bulkhead(fn, colour, 10), colour, 5)
        return self.fallback(self.retry(fn, colour, 3), colour, 42)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return self.stack(self.deadline(fn, colour, 30.0), colour)


library = Limit()
