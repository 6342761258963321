"""What the tests have done in worker processes, which find it by the name of this module."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from recoup import current_deadline, retry
from recoup.strategies.isolation.config import IsolationConfig
from recoup.strategies.isolation.strategy import Isolation

HERE: list[str] = []


def add(left: Any, right: Any = 1) -> Any:
    return left + right


def echo(value: Any = None, /, **more: Any) -> Any:
    return more or value


def pid(*_: Any) -> int:
    return os.getpid()


def leave(code: int) -> None:
    os._exit(code)


def die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)
    time.sleep(600)


def hang(began: str | None = None) -> None:
    if began is not None:
        Path(began).write_text(str(os.getpid()))
    while True:
        time.sleep(600)


def stubborn(began: str) -> None:
    """Hang, and do not listen to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(began)


def remaining() -> tuple[str, float] | None:
    deadline = current_deadline()
    return None if deadline is None else (deadline.name, deadline.remaining())


def fail(text: str = "no") -> None:
    raise ConnectionError(text)


class Awkward(Exception):
    """Pickles, and does not unpickle: a classic."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


class Rude(Exception):
    """Takes no notes."""

    def add_note(self, note: str, /) -> None:
        raise TypeError(note)


class Odd(Exception):
    """Unpickles as something else."""

    def __reduce__(self) -> Any:
        return ValueError, ("changed",)


def fail_awkwardly() -> None:
    raise Awkward("a", "b")


def fail_rudely() -> None:
    raise Rude("no")


def fail_oddly() -> None:
    raise Odd("no")


def give_up() -> None:
    raise SystemExit(3)


def lock() -> Any:
    return threading.Lock()


async def later() -> int:
    return 1


def coroutine() -> Any:
    return later()


def generator() -> Any:
    yield 1


class Trap:
    """Cannot be unpickled."""

    def __reduce__(self) -> Any:
        return fail, ("trap",)


def trap() -> Trap:
    return Trap()


def remember(word: str) -> list[str]:
    HERE.append(word)
    return HERE


def recall() -> list[str]:
    return HERE


def refuse_to_start() -> None:
    raise ValueError("not today")


isolation = Isolation(IsolationConfig(workers=1, start_timeout=600, queue_timeout=600), name="work")


@isolation
def decorated(number: int) -> tuple[int, int]:
    return number, os.getpid()


@retry(max_attempts=3, initial_delay=0)
@isolation
@retry(max_attempts=2, initial_delay=0)
def stacked(path: str) -> int:
    """Count how often it is called, and by whom; the third attempt succeeds."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    made = len(Path(path).read_text().split())
    if made < 3:
        raise ConnectionError(made)
    return made


class Thing:
    """Its methods run in workers."""

    def __init__(self, value: int) -> None:
        self.value = value

    @isolation
    def method(self, more: int) -> tuple[int, int]:
        return self.value + more, os.getpid()

    @classmethod
    @isolation
    def of_class(cls, more: int) -> tuple[str, int]:
        return cls.__name__ + str(more), os.getpid()

    @staticmethod
    @isolation
    def static(more: int) -> tuple[int, int]:
        return more, os.getpid()

    def plain(self, more: int) -> int:
        return self.value + more


def foreign(function: Any) -> Any:
    """Decorate as others do."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@foreign
@isolation
def covered(number: int) -> int:
    return number


@isolation
def nested(number: int) -> tuple[tuple[int, int], int]:
    return decorated(number), os.getpid()
