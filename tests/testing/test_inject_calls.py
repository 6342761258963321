"""What becomes of calls that a test has injected faults into: hanging, threads, and what is filed of them."""

from __future__ import annotations

import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from recoup import deadline, retry
from recoup.testing import fail, faulty, hang, inject, visits
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from recoup.testing import VirtualClock


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_hanging_calls_are_given_up(library: str, clock: VirtualClock) -> None:
    """A call that hangs hangs until a deadline cancels it."""
    both = Both(library)
    hanging, calls = faulty(deadline(30)(both.wrap(lambda: "never")), hang())
    with pytest.raises(TimeoutError):
        both.call(hanging)
    assert clock.monotonic() == 1030
    assert (calls[0].done, calls[0].reached, calls[0].injected) == (True, False, "hang")


def test_a_plain_call_is_given_up_by_its_thread() -> None:
    """Under a deadline with threads a plain function that hangs is given up, and let go at the end of the block."""
    limited = deadline(0.01, mode="thread")(len)
    holder = types.SimpleNamespace(size=limited)
    with inject(holder, "size", hang()), pytest.raises(TimeoutError):
        holder.size("abc")
    assert holder.size is limited


def test_a_plain_call_hangs_in_a_thread() -> None:
    """A plain function hangs in its thread until the block ends; the deadline gives it up before."""
    seen: list[BaseException | None] = []
    ended = threading.Event()

    class Client:
        @staticmethod
        def fetch() -> None: ...

    def call() -> None:
        try:
            Client.fetch()
        except RuntimeError as error:
            seen.append(error)
        ended.set()

    with inject(Client, "fetch", hang()) as calls:
        thread = threading.Thread(target=call)
        thread.start()
        assert not ended.wait(0.01)
    thread.join()
    assert "was let go" in str(seen[0])
    assert calls[0].error is seen[0]


def test_a_plain_call_may_not_hang_the_test() -> None:
    """In the thread of the test a hanging plain function could be stopped by nobody: an error says so at once."""
    hanging, _ = faulty(abs, hang())
    with pytest.raises(RuntimeError, match=r"hang\(\) would block this test for ever"):
        hanging(1)


def test_hanging_threads_end_with_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that hangs in a function nobody lets go does not keep the program from ending."""
    hanging, calls = faulty(lambda: None, hang())
    answers = [True, False]
    monkeypatch.setattr(threading.main_thread(), "is_alive", lambda: answers.pop(0))
    monkeypatch.setattr(visits, "_SLICE", 0.001)
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="was let go"):
        pool.submit(hanging).result()
    assert len(calls) == 1


def test_functions_that_surprise_with_a_coroutine(clock: VirtualClock) -> None:
    """A plain function that returns a coroutine is one call, and the retry outside tries it again (G5)."""
    tries: list[int] = []

    async def work() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        return "done"

    surprising, calls = faulty(retry(lambda: work()), fail(OSError, on=3))  # noqa: PLW0108 - looks plain, on purpose
    assert Both("asyncio").run(surprising) == "done"
    assert [call.done for call in calls] == [True, True]
    assert [type(call.error) for call in calls] == [ConnectionError, type(None)]
    assert [call.reached for call in calls] == [True, True]


def test_calls_are_numbered_exactly_by_threads() -> None:
    """Of 32 threads that call at the same time exactly the calls that were named fail."""
    shaky, calls = faulty(abs, fail(OSError, on=lambda number: number % 10 == 0))
    failures: list[int] = []

    def work() -> None:
        for number in range(100):
            try:
                shaky(number)
            except OSError:
                failures.append(number)

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 320
    assert [call.number for call in calls] == list(range(1, 3201))
    assert len(calls.injected) == 320


def test_calls_read_well(both: Both) -> None:
    """A list of calls says what was called, what was done to it and what came of it."""

    def fetch(page: int) -> str:
        return f"page {page}"

    shaky, calls = faulty(both.wrap(fetch), fail(OSError("no"), on=2))
    assert str(calls) == "0 calls of fetch"
    both.call(shaky, 1)
    with pytest.raises(OSError, match="no"):
        both.call(shaky, 2)
    lines = [
        "2 calls of fetch:",
        "  1: fetch(1) returned 'page 1'",
        "  2: fetch(2) raised OSError, injected: fail(OSError('no'))",
    ]
    assert str(calls).splitlines() == lines
    assert repr(calls[1]) == f"<call {lines[2].strip()}>"
    assert repr(calls).startswith("<2 calls of")
    assert [call.number for call in calls[:1]] == [1]


def test_calls_that_are_not_over_say_so() -> None:
    """A call that still runs has no outcome yet."""

    def counting(*, size: int = 2) -> Iterator[int]:
        yield from range(size)

    streaming, calls = faulty(counting)
    running = streaming()
    next(running)
    assert str(calls[0]) == f"1: {calls[0].name}(size=2) not over"
    assert list(running) == [1]
    assert calls[0].done


def test_a_generator_that_fails_is_closed_first(both: Both) -> None:
    """When an error comes in the place of an item, the generator has ended before it comes out (G11)."""
    seen: list[str] = []

    def plain() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            seen.append("closed")

    async def asynchronous() -> AsyncGenerator[int]:
        try:
            for item in range(9):
                yield item
        finally:
            seen.append("closed")

    target: Any = asynchronous if both.is_async else plain
    shaky, _ = faulty(target, fail(OSError, after_items=1))
    try:
        both.call(shaky)
    except OSError:
        assert seen == ["closed"]
    else:
        raise AssertionError
