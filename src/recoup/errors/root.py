"""What all exceptions of recoup are, and what its refusals are."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["RecoveryError", "Refusal"]


def _rebuild(cls: type[RecoveryError], args: tuple[Any, ...], facts: dict[str, Any]) -> RecoveryError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(facts)
    return error


class RecoveryError(Exception):
    """The root of every exception that recoup itself raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class Refusal(RecoveryError):
    """A call that recoup refused before the function ran.

    A refusal is about us, not about the dependency: an enclosing circuit breaker ignores it, and an enclosing
    retry passes it on unless its condition names the class of the refusal itself.

    Attributes:
        name: Name of the strategy object that refused.
        retry_after: Seconds until a new try makes sense; `None` if unknown, `math.inf` for never by itself.
    """

    def __init__(self, *, name: str, retry_after: float | None = None) -> None:
        super().__init__()
        self.name = name
        self.retry_after = retry_after
