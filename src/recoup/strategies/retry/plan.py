"""A retry's configuration, compiled once for all its calls: which errors are retried, which results are turned down."""

from __future__ import annotations

from recoup._core import conditions
from recoup.errors import DeadlineExceeded, RecoveryError, UnacceptableResult, is_refusal
from recoup.strategies.retry import hints, nesting
from recoup.strategies.retry.backoff import Backoff
from recoup.strategies.retry.config import RetryAfter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.strategies.retry.config import RetryConfig

__all__ = ["RetryPlan", "is_timeout"]

# What "every Exception" does not mean without a closer look: our own errors, iterators that are done, groups.
_PECULIAR = (RecoveryError, StopIteration, StopAsyncIteration, BaseExceptionGroup)


# Not all timeouts are a TimeoutError: httpx.TimeoutException, requests.Timeout, urllib3's own TimeoutError and
# subprocess.TimeoutExpired are not. Those of other clients derive from one of these.
_TIMEOUTS = frozenset({"Timeout", "TimeoutError", "TimeoutException", "TimeoutExpired"})


def is_timeout(error: BaseException) -> bool:
    """Tell whether an error (or any of a group) is a timeout of running work; known by name, so nothing is imported."""
    return any(
        not is_refusal(leaf) and not _TIMEOUTS.isdisjoint(each.__name__ for each in type(leaf).__mro__)
        for leaf in conditions.leaves(error)
    )


class RetryPlan:
    """A configuration, compiled once for all its calls.

    Attributes:
        config: The configuration.
        key: What marks on errors and counts of a call are known by; the same for all plans of one executor.
        limit: What the limit of attempts is called where it was given.
        backoff: How long to wait.
        judges: Whether results are judged.
        clamps: Whether a wait that a service asks for is cut to the longest of our own.
        careful: Whether there may be an objection to retrying an error.
        budget: What pays for retries; `None` if nobody has to.
    """

    __slots__ = (
        "_abort",
        "_every",
        "_obeys",
        "_on",
        "_once",
        "_unsafe",
        "backoff",
        "budget",
        "careful",
        "clamps",
        "config",
        "judges",
        "key",
        "limit",
    )

    def __init__(self, config: RetryConfig, key: int = 0) -> None:
        self.config = config
        self.key = key
        self.limit = "max_attempts"
        self.backoff = Backoff(config)
        self.budget = config.budget
        self.judges = config.retry_on_result is not None
        self.clamps = config.retry_after is RetryAfter.CLAMP
        self._obeys = config.retry_after is not RetryAfter.IGNORE
        self._once = config.nested == "once"
        self._unsafe = config.idempotent is False
        self.careful = self._once or self._unsafe
        self._every = config.retry_on_exceptions is None and config.abort_on is None
        self._on = conditions.every("retry_on_exceptions", config.retry_on_exceptions)
        self._abort = conditions.some("abort_on", config.abort_on, refusals=True)

    def retries(self, error: BaseException) -> bool:
        """Tell whether an error is one to retry; asked for errors only, not for results."""
        if self._every and not isinstance(error, _PECULIAR):
            return True
        return self._on(error) and not self._abort(error)

    def objection(self, error: BaseException) -> str:
        """Say why an error that is one to retry is passed on all the same; an empty text if nothing is against it."""
        if self._unsafe and is_timeout(error):
            return "it is a timeout, and the function is not idempotent"
        if isinstance(error, DeadlineExceeded) and error.abandoned and not self.config.idempotent:
            return "its work goes on in a thread, and the function is not declared idempotent"
        if self._once:
            given = nesting.found(error, self.key)
            if given is not None:
                _, name, attempts = given
                return f"retry {name!r} further in has given up on it after {attempts} attempts"
        return ""

    def hint(self, error: BaseException, wall: Callable[[], float]) -> float | None:
        """Give the seconds that the service asks to wait, if it does and is listened to."""
        if self._obeys and (self.judges or hints.may_ask(error)):
            return hints.asked(error, wall)
        return None

    def judge(self, result: Any) -> UnacceptableResult | None:
        """Turn a result down, or accept it with None."""
        assert self.config.retry_on_result is not None  # noqa: S101 - the pump asks only then
        verdict = conditions.plainly("retry_on_result", self.config.retry_on_result(result))
        if not verdict:
            return None
        rejection = UnacceptableResult(result)
        rejection.__dict__["_judge"] = self.key  # one that a function raises by itself is an error like any other
        return rejection

    def turned_down(self, error: object) -> bool:
        """Tell whether this is no error, but a result that a plan of this executor turned down."""
        return isinstance(error, UnacceptableResult) and error.__dict__.get("_judge") == self.key
