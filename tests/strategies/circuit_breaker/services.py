"""A service that does as it is told, for the tests of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Both


class Service:
    """A function that returns or raises what `answer` says.

    Attributes:
        answer: An exception to raise, or a result.
        calls: How often it ran.
    """

    def __init__(self, answer: object = "ok") -> None:
        self.answer = answer
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def ticked(permit: Any) -> bool:
    """Tell whether a success was counted without a lock, or needs no counting: what the pumps ask."""
    tick = permit.tick
    return tick is None or next(tick, None) is not None


class Guarded:
    """A service behind a circuit breaker, called in one colour."""

    def __init__(self, both: Both, **fields: Any) -> None:
        fields = {"failure_threshold": 1, "success_threshold": 1, "timeout": 60, **fields}
        self.both = both
        self.service = Service()
        self.breaker = CircuitBreaker(CircuitBreakerConfig(**fields), name="service")
        self.fn: Callable[..., Any] = self.breaker(both.wrap(self._ask))

    def _ask(self) -> Any:
        return self.service()

    def call(self, answer: object = "ok") -> Any:
        """Call the service, which answers so."""
        self.service.answer = answer
        return self.both.call(self.fn)

    def fail(self, error: Exception | None = None) -> None:
        """Call the service, which fails; the error is the one that comes out."""
        error = ValueError("no") if error is None else error
        with pytest.raises(type(error)) as caught:
            self.call(error)
        assert caught.value is error

    @property
    def state(self) -> str:
        return self.breaker.state.value
