"""What an isolation can be told."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - typing.get_type_hints looks for it here
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from recoup._core import checks
from recoup.typing import Seconds  # noqa: TC001 - typing.get_type_hints looks for it here

__all__ = ["IsolationConfig"]

_METHODS = ("spawn", "forkserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationConfig:
    """Say how many worker processes there are, how long a call may run in one, and how many calls wait.

    Args:
        workers: Processes, and so calls that run at once; at least 1. They are started when they are needed. Default 4.
        timeout: Seconds (or a timedelta) that a function may run; more than 0. Then its worker is killed, and the
            caller gets `DeadlineExceeded`. The start of a worker and the wait in the queue do not count; an ambient
            deadline that is nearer does, whole. Default `None`: an ambient deadline only.
        max_queue_size: Calls that wait for a worker; 0 refuses every call that no worker can take at once. Default 100.
        queue_timeout: Seconds (or a timedelta) that a call waits at most until its function begins, the start of a
            worker included; more than 0. Default 30.0.
        max_calls_per_worker: After so many calls a worker is replaced by a new one, before leaks of memory add up; at
            least 1. Default `None`: never.
        start_method: "spawn" starts a new interpreter for each worker; "forkserver" forks each from a server process,
            which is quicker from the second one on. There is no "fork": a copy of a process with threads, ours or
            those of a library, may wait for ever for a lock that was held in the middle of copying. Default "spawn".
        initializer: Called without arguments in each new worker, before its first call; a function of a module, or a
            `functools.partial` of one. If it raises, the call that the worker was started for fails with that. Default
            `None`.
        start_timeout: Seconds (or a timedelta) that a worker may take to start, imports and initializer included; more
            than 0. Default 60.0.
        kill_grace: Seconds (or a timedelta) between the SIGTERM and the SIGKILL for a worker that has to end; 0 or
            more. Nobody waits for it but the next call for that worker. Default 1.0.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Configs are immutable and may be shared between threads and event loops.

    >>> IsolationConfig(workers=2, timeout=30).timeout
    30.0
    """

    workers: int = 4
    timeout: Seconds | None = None
    max_queue_size: int = 100
    queue_timeout: Seconds = 30.0
    max_calls_per_worker: int | None = None
    start_method: Literal["spawn", "forkserver"] = "spawn"
    initializer: Callable[[], object] | None = None
    start_timeout: Seconds = 60.0
    kill_grace: Seconds = 1.0

    def __post_init__(self) -> None:
        checks.count("workers", self.workers)
        object.__setattr__(self, "timeout", checks.optional_duration("timeout", self.timeout, zero=False))
        checks.count("max_queue_size", self.max_queue_size, low=0)
        object.__setattr__(self, "queue_timeout", checks.duration("queue_timeout", self.queue_timeout, zero=False))
        if self.max_calls_per_worker is not None:
            checks.count("max_calls_per_worker", self.max_calls_per_worker)
        _check_method(self.start_method)
        checks.callback("initializer", self.initializer)
        if (local := _local(self.initializer)) is not None:
            raise ValueError(
                f"initializer must be a function of a module, which a new process can import, not {local!r}: "
                "move it to module level, and give it values by functools.partial"
            )
        object.__setattr__(self, "start_timeout", checks.duration("start_timeout", self.start_timeout, zero=False))
        object.__setattr__(self, "kill_grace", checks.duration("kill_grace", self.kill_grace))


def _check_method(method: object) -> None:
    if method not in _METHODS:
        kind = ValueError if isinstance(method, str) else TypeError
        unsafe = ": a copy of a process with threads is not safe to run" if method == "fork" else ""
        raise kind(f'start_method must be "spawn" or "forkserver", not {checks.shown(method)}{unsafe}')


def _local(function: object) -> str | None:
    """Give the name of a function that no other process can find; `None` if one may."""
    name = getattr(getattr(function, "func", function), "__qualname__", "")
    return name if "<" in name else None


if TYPE_CHECKING:

    class IsolationOptions(TypedDict, total=False):
        """Keywords of `@isolate`: the fields of `IsolationConfig`, and `name`."""

        name: str | None
        workers: int
        timeout: Seconds | None
        max_queue_size: int
        queue_timeout: Seconds
        max_calls_per_worker: int | None
        start_method: Literal["spawn", "forkserver"]
        initializer: Callable[[], object] | None
        start_timeout: Seconds
        kill_grace: Seconds
