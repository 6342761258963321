"""What a layer says of a call that it let through, or of a stack; and which errors are refusals."""

from __future__ import annotations

from recoup.errors.root import RecoveryError, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CompensationError",
    "DeadlineExceeded",
    "RetryExhausted",
    "StackWarning",
    "UnacceptableResult",
    "UnpicklableError",
    "WorkerCrashed",
    "is_refusal",
]


class DeadlineExceeded(RecoveryError, TimeoutError):
    """The time allowed for a call is up.

    Attributes:
        seconds: How long the deadline that struck was, in seconds.
        started: Whether the function had begun to run. `False` makes this a refusal: the dependency was never asked.
        name: What set the deadline: the decorated function, "global_timeout", "attempt_timeout", ...
        abandoned: Whether the work goes on all the same, in a thread that nobody can interrupt: a second try would run
            beside it.
    """

    def __init__(self, *, seconds: float, started: bool, name: str = "deadline", abandoned: bool = False) -> None:
        super().__init__()
        self.seconds = seconds
        self.started = started
        self.name = name
        self.abandoned = abandoned

    def __str__(self) -> str:
        if self.started:
            return f"{self.name}: not finished within {self.seconds:.3g} s"
        return f"{self.name}: {self.seconds:.3g} s were used up before the call could start, so it was not made"


class UnacceptableResult(RecoveryError):
    """What `on_retry` and `on_failure` are told when `retry_on_result` turned a result down.

    Attributes:
        result: The result. It is not part of the message: results may be private.
    """

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result

    def __str__(self) -> str:
        return f"retry_on_result turned down a result of type {type(self.result).__qualname__}"


class RetryExhausted(RecoveryError):
    """Every attempt gave a result that `retry_on_result` turned down, and `raise_on_result` asked for an error.

    Attributes:
        attempts: How many calls were made.
        elapsed: Seconds from the first failed attempt to giving up.
        reason: Which limit was hit, in words.
        last_result: The last result. It is not part of the message: results may be private.
    """

    def __init__(self, *, attempts: int, elapsed: float, reason: str, last_result: object) -> None:
        super().__init__()
        self.attempts = attempts
        self.elapsed = elapsed
        self.reason = reason
        self.last_result = last_result

    def __str__(self) -> str:
        calls = "attempt" if self.attempts == 1 else "attempts"
        return f"no acceptable result after {self.attempts} {calls} in {self.elapsed:.3g} s: {self.reason}"


class CompensationError(RecoveryError):
    """An operation failed, and at least one of the actions that undo it failed too.

    The operation's own error is `original` and the `__cause__`. Somebody has to look at what was not undone.

    Attributes:
        original: The error of the operation.
        failures: The errors of the actions, in the order in which they ran.
        undone: How many actions succeeded.
    """

    def __init__(self, *, original: BaseException, failures: Sequence[BaseException], undone: int) -> None:
        super().__init__()
        self.original = original
        self.failures = tuple(failures)
        self.undone = undone

    def __str__(self) -> str:
        listed = "; ".join(f"{type(failure).__qualname__}: {failure}" for failure in self.failures)
        return (
            f"{len(self.failures)} of {len(self.failures) + self.undone} compensations failed ({listed}) "
            f"after {type(self.original).__qualname__}: {self.original}"
        )


class WorkerCrashed(RecoveryError):
    """A worker process ended in the middle of a call: it crashed, was killed, or left by `os._exit`.

    Only this call fails; a new worker takes the place. Whether the function had its effect is not known.

    Attributes:
        name: Name of the isolation.
        exitcode: What the process ended with, as `multiprocessing` tells it: negative for the signal that killed it.
        started: Whether the function may have begun to run; `False` if it certainly had not.
        pid: The process.
    """

    def __init__(self, *, name: str, exitcode: int | None, started: bool, pid: int | None = None) -> None:
        super().__init__()
        self.name = name
        self.exitcode = exitcode
        self.started = started
        self.pid = pid

    def __str__(self) -> str:
        head = f"a worker process of isolation {self.name!r} {_ended(self.exitcode)}"
        if self.started:
            return f"{head} while the function ran; whether that had its effect is not known"
        return (
            f"{head} before it called the function; if that happens always, see what the process printed: perhaps the "
            "program does not start its work under `if __name__ == '__main__':`, or a module cannot be imported"
        )


def _ended(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"ended with exit code {exitcode}"
    from signal import Signals  # noqa: PLC0415 - only for a message

    try:
        name = Signals(-exitcode).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-exitcode}"
    hint = " (perhaps the system ran out of memory)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


class UnpicklableError(RecoveryError, TypeError):
    """An argument, a result or an exception cannot go from one process to another.

    Attributes:
        what: What cannot: "argument 'connection' of 'render'", "the result of 'render'", ...
        reason: Type and text of the error that said so, or of the exception that is lost.
    """

    def __init__(self, *, what: str, reason: str) -> None:
        super().__init__()
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what} cannot go from one process to another: {self.reason}"


class StackWarning(UserWarning):
    """Decorators are stacked in an order that cannot mean what it says; the text gives the reason and the mend."""


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error is a local refusal: the function was not run, so it is no evidence about it.

    >>> is_refusal(Refusal(name="api")), is_refusal(TimeoutError())
    (True, False)
    """
    if isinstance(error, Refusal):
        return True
    return isinstance(error, DeadlineExceeded) and not error.started
