"""A budget of retries, shared by any number of functions: while everything fails, few calls are repeated (rule R6).

Tokens come in with tries, with successes and with time, up to a capacity; a retry takes some out, or is not made. One
lock guards the tokens. A healthy call does not take it: a success takes a number from a counter, which is atomic, and
whoever holds the lock next adds up what came in meanwhile. That is exact, because nothing but the capacity bounds what
comes in: added one by one or together, the same number of tokens is in the end.
"""

from __future__ import annotations

from itertools import count
from threading import Lock
from typing import NamedTuple

from recoup._core import checks, clock
from recoup._core.waiting import at_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = ["RetryBudget", "Rules"]


class Rules(NamedTuple):
    """What puts tokens in and takes them out.

    Attributes:
        capacity: Most tokens; it begins with as many.
        per_try: Put in by every call of the function, retries included.
        per_success: Put in by every call that succeeds.
        per_second: Put in by time.
        per_failure: Taken out by every failure that is one to retry.
        cost: Taken out by a retry.
        timeout_cost: Taken out by a retry after a timeout.
        floor: A retry is made only if more than this is there.
        refunds: Whether a retry that succeeds gets back what it cost, in place of `per_success`.
    """

    capacity: float
    per_try: float = 0.0
    per_success: float = 0.0
    per_second: float = 0.0
    per_failure: float = 0.0
    cost: float = 1.0
    timeout_cost: float = 1.0
    floor: float = 0.0
    refunds: bool = False


class RetryBudget:
    """Limit the retries of all functions that share this object: `@retry(budget=budget)`.

    Every try (retries included) puts `ratio` of a token in, every second `minimum_rate` tokens, and every retry takes
    one out. So in the long run at most that share of the calls are retries, and a service that is down is not asked
    three times as often as usual. With no token left the error comes out at once, with a note.

    Args:
        ratio: Retries that one try pays for, 0 to 1. Default 0.2.
        minimum_rate: Retries per second that are paid for besides, so that a quiet client may retry at all; 0 or more.
            Default 10.
        capacity: Most tokens, so most retries at once; at least 1. It begins full. Default 100.
        name: What notes and `repr` call it. Default "retry budget".

    Raises:
        TypeError: If a value is no number.
        ValueError: If a value is out of range, or nothing would ever come in.

    Thread and loop safety: one object serves any number of threads, tasks and loops; a success takes no lock.

    Source: the defaults are those of Finagle's `RetryBudget` (20 %, 10 a second, kept for 10 seconds).

    >>> budget = RetryBudget(ratio=0.1, minimum_rate=0, capacity=20)
    >>> budget.tokens
    20.0
    """

    def __init__(
        self,
        *,
        ratio: float = 0.2,
        minimum_rate: float = 10.0,
        capacity: float = 100.0,
        name: str | None = None,
    ) -> None:
        self._begin(_rules(ratio, minimum_rate, capacity), name)

    @classmethod
    def grpc(cls, *, max_tokens: float = 10.0, token_ratio: float = 0.1, name: str | None = None) -> Self:
        """Make a budget that throttles as gRPC does.

        A failure takes one token out, a success puts `token_ratio` in, and retries are made only while more than half
        of the tokens are there.

        Args:
            max_tokens: Most tokens, more than 0 and at most 1000. Default 10.
            token_ratio: Tokens that a success puts in, more than 0. Default 0.1.
            name: As for `RetryBudget`.

        Returns:
            The budget, full.

        Source: gRPC proposal A6, "Throttling Retry Attempts and Hedged RPCs", and the numbers of its example.
        """
        most = checks.number("max_tokens", max_tokens, low=0, high=1000, low_ok=False)
        ratio = checks.number("token_ratio", token_ratio, low=0, low_ok=False)
        rules = Rules(most, per_success=ratio, per_failure=1.0, cost=0.0, timeout_cost=0.0, floor=most / 2)
        return cls._made(rules, name)

    @classmethod
    def botocore(cls, *, name: str | None = None) -> Self:
        """Make a budget with the retry quota of the AWS clients.

        500 tokens; a retry costs 5, after a timeout 10, and gets them back if it succeeds; a call that succeeds without
        a retry puts 1 in.

        Args:
            name: As for `RetryBudget`.

        Returns:
            The budget, full.

        Source: botocore, `retries/quota.py` and `retries/standard.py` (standard mode).
        """
        return cls._made(Rules(500.0, per_success=1.0, cost=5.0, timeout_cost=10.0, refunds=True), name)

    @classmethod
    def _made(cls, rules: Rules, name: str | None) -> Self:
        self = cls.__new__(cls)
        self._begin(rules, name)
        return self

    def _begin(self, rules: Rules, name: str | None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(f"name must be a non-empty string or None, not {checks.shown(name)}")
        self.name = name or "retry budget"
        self._rules = rules
        self._lock = Lock()
        self._tokens = rules.capacity
        self._since: float | None = None
        self._successes = count()
        self._counted = -1  # the last number that was taken to see how far the counter is
        self._made_retries = self._denied = 0
        self._succeeded = self._successes.__next__
        """Take note of a call that succeeded; atomic, and no lock."""
        at_fork(self)

    def reconfigure(
        self, *, ratio: float | None = None, minimum_rate: float | None = None, capacity: float | None = None
    ) -> None:
        """Change how much comes in, and how much there is room for, while calls are made.

        What has come in until now stays, as far as there is room.

        Args:
            ratio: As for `RetryBudget`. Default `None`: as it is.
            minimum_rate: As for `RetryBudget`. Default `None`: as it is.
            capacity: As for `RetryBudget`. Default `None`: as it is.

        Raises:
            TypeError: If a value is no number.
            ValueError: If a value is out of range, nothing would ever come in, or this is a budget of gRPC's or
                botocore's, whose numbers belong together: make another. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> budget = RetryBudget(capacity=20)
        >>> budget.reconfigure(capacity=5, minimum_rate=0)
        >>> budget
        <RetryBudget 'retry budget' 5 of 5 tokens>
        """
        old = self._rules
        if old != Rules(old.capacity, per_try=old.per_try, per_second=old.per_second):
            raise ValueError(f"the numbers of {self.name!r} belong together: make another budget")
        rules = _rules(
            old.per_try if ratio is None else ratio,
            old.per_second if minimum_rate is None else minimum_rate,
            old.capacity if capacity is None else capacity,
        )
        with self._lock:
            self._collect_locked(clock.monotonic())
            self._rules = rules  # whoever looks next finds no more than there is room for

    def reset(self) -> None:
        """Fill it, and count its retries from 0 again.

        Any thread or task may call this at any time.

        >>> budget = RetryBudget()
        >>> budget.reset()
        >>> budget.tokens
        100.0
        """
        with self._lock:
            self._collect_locked(clock.monotonic())
            self._tokens = self._rules.capacity
            self._made_retries = self._denied = 0

    @property
    def tokens(self) -> float:
        """Tell how many tokens are there now."""
        with self._lock:
            self._collect_locked(clock.monotonic())
            return self._tokens

    @property
    def metrics(self) -> Mapping[str, int]:
        """Tell how many retries were paid for (`retries`) and how many were not made for lack of tokens (`denied`)."""
        with self._lock:
            return {"retries": self._made_retries, "denied": self._denied}

    def __repr__(self) -> str:
        return f"<RetryBudget {self.name!r} {self.tokens:.4g} of {self._rules.capacity:.4g} tokens>"

    def __copy__(self) -> Self:
        return self  # what makes a budget is that it is shared

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def after_fork(self) -> None:
        """Have a lock that nobody holds: a thread of the parent may have held it (rule G18)."""
        self._lock = Lock()

    def _failed(self, now: float, *, to_retry: bool) -> None:
        """Take note of a call that failed.

        Args:
            now: Seconds on a monotonic clock.
            to_retry: Whether it is one to retry.
        """
        with self._lock:
            rules = self._rules
            self._collect_locked(now)
            taken = rules.per_failure if to_retry else 0.0
            self._tokens = max(0.0, min(rules.capacity, self._tokens + rules.per_try) - taken)

    def _spend(self, now: float, *, timeout: bool) -> float | None:
        """Pay for a retry.

        Args:
            now: Seconds on a monotonic clock.
            timeout: Whether a timeout is retried.

        Returns:
            What it cost; `None` if there is not enough, and the retry must not be made.
        """
        with self._lock:
            rules = self._rules
            cost = rules.timeout_cost if timeout else rules.cost
            self._collect_locked(now)
            if self._tokens < cost or self._tokens <= rules.floor:
                self._denied += 1
                return None
            self._made_retries += 1
            self._tokens -= cost
            return cost

    def _repay(self, cost: float) -> None:
        """Give a retry that succeeded back what it cost, if that is the rule; its success is counted already."""
        rules = self._rules
        if rules.refunds:
            with self._lock:
                self._tokens = min(rules.capacity, self._tokens + cost - rules.per_success)

    def _collect_locked(self, now: float) -> None:
        """Add up what came in since somebody looked."""
        rules = self._rules
        number = next(self._successes)
        new, self._counted = number - self._counted - 1, number
        since, self._since = self._since, now
        seconds = 0.0 if since is None else max(0.0, now - since)  # a clock that went backwards begins anew
        came = new * (rules.per_try + rules.per_success) + seconds * rules.per_second
        self._tokens = min(rules.capacity, self._tokens + came)


def _rules(ratio: float, minimum_rate: float, capacity: float) -> Rules:
    """Check what the user gave."""
    share = checks.fraction("ratio", ratio)
    rate = checks.number("minimum_rate", minimum_rate, low=0)
    if not share and not rate:
        raise ValueError("ratio and minimum_rate must not both be 0: the budget would never fill again")
    return Rules(checks.number("capacity", capacity, low=1), per_try=share, per_second=rate)
