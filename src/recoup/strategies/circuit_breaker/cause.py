"""What opened a circuit, in words (C7)."""

from __future__ import annotations

__all__ = ["Cause"]


class Cause:
    """What opened a circuit. Not the exception, which would keep a request's locals alive (C7).

    Attributes:
        error_type: Its type name, or what stands for one: "UnacceptableResult", "FailureRate", "SlowCallRate",
            "AllRules".
        text: Its text, at most 200 characters; empty until `word` was called.
        at: When that was.
    """

    __slots__ = ("at", "error_type", "text")

    def __init__(self, error: BaseException | None, at: float) -> None:
        self.error_type = "UnacceptableResult" if error is None else type(error).__qualname__
        self.text = ""
        self.at = at

    @classmethod
    def said(cls, error_type: str, text: str, at: float) -> Cause:
        """Make a cause that needs no error."""
        cause = cls(None, at)
        cause.error_type, cause.text = error_type, text
        return cause

    def word(self, error: BaseException | None) -> None:
        """Put the error into words, unless there are some. This runs the user's code: never under a lock."""
        if self.text:
            return
        if error is None:
            self.text = "failure_on_result counted the result as a failure"
            return
        try:
            text = str(error)
        except Exception:  # noqa: BLE001 - the user's own __str__; the circuit opens all the same
            text = "(an error whose text cannot be made)"
        self.text = text if len(text) <= 200 else text[:197] + "..."
