"""What durable sagas say."""

from __future__ import annotations

from recoup.errors.root import RecoveryError, _rebuild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Fenced", "JournalError", "SagaExists", "SagaStuck", "UnserializableError"]


class JournalError(RecoveryError):
    """A journal cannot be opened, read or written. What had to be written before an effect: the effect did not begin.

    Attributes:
        journal: What the journal is called: its address without a password.
        reason: What is wrong, and what to do about it.
        timeout: Whether it only took too long. What was to be written may then be written later.
    """

    def __init__(self, *, journal: str, reason: str, timeout: bool = False) -> None:
        super().__init__()
        self.journal = journal
        self.reason = reason
        self.timeout = timeout

    def __str__(self) -> str:
        return f"journal {self.journal}: {self.reason}"


class SagaExists(RecoveryError):
    """There is a saga of this name with the same key already.

    Attributes:
        name: Name of the saga.
        key: Its key.
        id: Which one it is, in the journal.
        state: What has become of it: "running", "compensating", "done" or "stuck".
    """

    def __init__(self, *, name: str, key: str, id: str, state: str) -> None:  # noqa: A002 - what the journal calls it
        super().__init__()
        self.name = name
        self.key = key
        self.id = id
        self.state = state

    def __str__(self) -> str:
        return f"saga {self.name!r} with key {self.key!r} exists and is {self.state}: nothing was done ({self.id})"


class UnserializableError(RecoveryError, TypeError):
    """A value cannot be written to a journal so that it comes back the same.

    Attributes:
        what: Which value: "argument 'card' of 'shop:charge'".
        reason: Why not, and what can.
    """

    def __init__(self, *, what: str, reason: str) -> None:
        super().__init__()
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what} cannot be written to a journal: {self.reason}"


class Fenced(BaseException):
    """Somebody else has taken over this saga: here nothing more may be done for it, nor undone.

    No `Exception`, so that user code does not take it for the failure of a step. It goes through every `except
    Exception` out of the saga.

    Attributes:
        id: The saga.
        name: What the saga is called.
    """

    def __init__(self, *, id: str, name: str = "") -> None:  # noqa: A002 - what the journal calls it
        super().__init__()
        self.id = id
        self.name = name

    def __str__(self) -> str:
        return f"saga {self.name!r} ({self.id}) was taken over by another process, which goes on with it"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class SagaStuck(BaseException):
    """A saga cannot go on by itself: a person has to decide (`recoup sagas list --stuck`).

    No `Exception`, so that user code does not take it for the failure of a step.

    Attributes:
        id: The saga.
        name: What the saga is called.
        reason: Why.
    """

    def __init__(self, *, id: str, name: str, reason: str) -> None:  # noqa: A002 - what the journal calls it
        super().__init__()
        self.id = id
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"saga {self.name!r} ({self.id}) is stuck: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))
