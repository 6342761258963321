"""A retry's configuration, compiled once for all its calls: which errors are retried, which results are turned down."""

from __future__ import annotations

import math

from recoup._core import checks, conditions
from recoup._core.notes import PREFIX
from recoup.errors import DeadlineExceeded, RecoveryError, UnacceptableResult, WorkerCrashed, is_refusal
from recoup.strategies.retry import hints, nesting
from recoup.strategies.retry.backoff import Backoff
from recoup.strategies.retry.config import RetryAfter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.strategies.retry.config import RetryConfig

__all__ = ["AT_ONCE", "RetryPlan", "is_crash", "is_timeout", "words"]

AT_ONCE = 0.0005  # seconds that are none to a reader, so that the text about them need not be made each time

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


def is_crash(error: BaseException) -> bool:
    """Tell whether an error (or any of a group) is the end of a worker process that may have begun the call."""
    return any(isinstance(leaf, WorkerCrashed) and leaf.started for leaf in conditions.leaves(error))


def words(attempts: float, elapsed: float, reason: str) -> str:
    """Say what was tried."""
    calls = "attempt" if attempts == 1 else "attempts"
    seconds = 0.0 if elapsed < AT_ONCE else elapsed
    return f"{attempts} {calls}, given up {seconds:.3g} s after the first failure: {reason}"


def asynchronous(config: RetryConfig) -> tuple[str, ...]:
    """Name the conditions and callbacks that have to be awaited."""
    asks = [
        each
        for each in ("retry_on_exceptions", "abort_on")
        if (given := getattr(config, each)) is not None
        and conditions.compiled(each, given, asynchronous=True).settle is not None
    ]
    return *asks, *(["retry_on_result"] if checks.awaitable_callback(config.retry_on_result) else [])


_ATTRIBUTES = ("__getattribute__", "__setattr__", "add_note")
_MANY = 50  # types of errors that are remembered: there are few, unless somebody makes them up as the program runs


class RetryPlan:
    """A configuration, compiled once for all its calls.

    Attributes:
        config: The configuration.
        key: What marks on errors and counts of a call are known by; the same for all plans of one executor.
        most: How many attempts there are; infinity if nothing limits them.
        limit: What the limit of attempts is called where it was given.
        quick: Types of errors that are retried without a closer look, unless they are `slow` too.
        slow: Types of errors that need a closer look in any case.
        backoff: How long to wait.
        follows: Whether the default of the process says what becomes of nested retries.
        judges: Whether results are judged.
        changes: Whether arguments change before a retry.
        clamps: Whether a wait that a service asks for is cut to the longest of our own.
        careful: Whether there may be an objection to retrying an error.
        obeys: Whether the service may ask for a wait.
        plain: Types of errors that were met, are retried, and have nothing about them that needs a closer look.
        asks: Whether a predicate has to be awaited.
        waits: Whether there is any time to wait for.
        tells: Whether something is told or closed after each failure.
        budget: What pays for retries; `None` if nobody has to.
    """

    __slots__ = (
        "_abort",
        "_at_once",
        "_met",
        "_on",
        "_once",
        "_unsafe",
        "asks",
        "backoff",
        "budget",
        "careful",
        "changes",
        "clamps",
        "config",
        "follows",
        "judges",
        "key",
        "limit",
        "most",
        "obeys",
        "plain",
        "quick",
        "slow",
        "tells",
        "waits",
    )

    def __init__(self, config: RetryConfig, key: int = 0) -> None:
        self.config = config
        self.key = key
        self.backoff = Backoff(config)
        self.waits = self.backoff.waits
        self.budget = config.budget
        self.judges = config.retry_on_result is not None
        self.clamps = config.retry_after is RetryAfter.CLAMP
        self.obeys = config.retry_after is not RetryAfter.IGNORE
        self._once = config.nested == "once"
        self.follows = config.nested is None
        self._unsafe = config.idempotent is False
        self.careful = self._once or self._unsafe
        self.changes = config.before_retry is not None
        self.most = math.inf if config.max_attempts is None else config.max_attempts
        self.limit = "max_attempts"
        self._at_once = ("", "", "")
        self.tells = self.judges or config.on_retry is not None or config.on_failure is not None
        on, spared = conditions.types(config.retry_on_exceptions, (Exception,)), conditions.types(config.abort_on, ())
        looks = self.judges or self.careful or self.budget is not None or on is None or spared is None
        self.quick = () if looks or on is None else on
        self.slow = (*_PECULIAR, *(spared or ()))
        self.plain: set[type] = set()
        self._met: set[type] = set()
        self.asks = bool(asynchronous(config))
        self._on = conditions.every("retry_on_exceptions", config.retry_on_exceptions, asynchronous=True)
        self._abort = conditions.some("abort_on", config.abort_on, refusals=True, asynchronous=True)

    @property
    def reason(self) -> str:
        """Say why retrying is over when all attempts are used up."""
        return f"{self.limit} is {self.most}"

    def at_once(self) -> tuple[str, str]:
        """Give reason and note for a call that used up all attempts in no time; they are worded once."""
        if self._at_once[0] != self.limit:
            self._at_once = (self.limit, self.reason, PREFIX + words(self.most, 0.0, self.reason))
        return self._at_once[1:]

    def retries(self, error: BaseException) -> bool:
        """Tell whether an error is one to retry; asked for errors only, not for results."""
        return self._on(error) and not self._abort(error)

    def met(self, error: BaseException) -> None:
        """Remember the type of an error that was retried, if no error of this type needs a closer look.

        That must depend on nothing but the type: not on registered subclasses, not on attributes that come and go.
        """
        kind = type(error)
        if kind in self._met:
            return
        if len(self._met) >= _MANY:
            self._met.clear()
            self.plain.clear()
        self._met.add(kind)
        if (
            not (self.tells or self.changes)
            and all(type(each) is type for each in (*self.quick, *self.slow))
            and issubclass(kind, self.quick)
            and not issubclass(kind, self.slow)
            and not hints.may_ask(kind)
            and not hasattr(kind, "__getattr__")
            and all(getattr(kind, each) is getattr(BaseException, each) for each in _ATTRIBUTES)
        ):
            self.plain.add(kind)

    async def retries_async(self, error: BaseException) -> bool:
        """Do what `retries` does, awaiting asynchronous predicates."""
        from recoup._core import asking  # noqa: PLC0415 - few have asynchronous predicates

        config = self.config
        on = conditions.compiled("on", config.retry_on_exceptions or Exception, asynchronous=True)
        if not await asking.all_meet(on, error):
            return False
        if config.abort_on is None:
            return True
        spared = conditions.compiled("abort_on", config.abort_on, asynchronous=True)
        return not await asking.any_meets(spared, error, refusals=True)

    def objection(self, error: BaseException) -> str:
        """Say why an error that is one to retry is passed on all the same; an empty text if nothing is against it."""
        if self._unsafe and is_timeout(error):
            return "it is a timeout, and the function is not idempotent"
        if self._unsafe and is_crash(error):
            return "a worker process ended in the middle of it, and the function is not idempotent"
        if isinstance(error, DeadlineExceeded) and error.abandoned and not self.config.idempotent:
            return "its work goes on in a thread, and the function is not declared idempotent"
        if self._once or (self.follows and nesting.once):
            given = nesting.found(error, self.key)
            if given is not None:
                _, name, attempts = given
                return f"retry {name!r} further in has given up on it after {attempts} attempts"
        return ""

    def hint(self, error: BaseException, wall: Callable[[], float]) -> float | None:
        """Give the seconds that the service asks to wait, if it does and is listened to."""
        if self.obeys and (self.judges or hints.may_ask(error)):
            return hints.asked(error, wall)
        return None

    def judge(self, result: Any) -> UnacceptableResult | None:
        """Turn a result down, or accept it with None; an error of the predicate is for the run to raise."""
        predicate = self.config.retry_on_result
        assert predicate is not None  # noqa: S101 - the pump asks only then
        failure = None
        try:
            # A coroutine function is asked later, by `judge_async`: until then the result is as good as turned down.
            verdict = True if self.asks and checks.awaitable_callback(predicate) else predicate(result)
            if verdict is False:  # the plain case, and the quick one
                return None
            if not conditions.plainly("retry_on_result", verdict):
                return None
        except BaseException as error:  # noqa: BLE001 - it comes out when the result has been closed
            failure = error
        rejection = UnacceptableResult(result)
        rejection.__dict__["_judge"] = self.key  # one that a function raises by itself is an error like any other
        rejection.__dict__["_failure"] = failure
        return rejection

    async def judge_async(self, result: Any) -> bool:
        """Tell whether a result that was not judged yet is to be turned down."""
        predicate: Any = self.config.retry_on_result
        return bool(await predicate(result)) if checks.awaitable_callback(predicate) else True

    def turned_down(self, error: object) -> bool:
        """Tell whether this is no error, but a result that a plan of this executor turned down."""
        return isinstance(error, UnacceptableResult) and error.__dict__.get("_judge") == self.key
