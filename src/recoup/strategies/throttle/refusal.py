"""What a throttle says to a call that it holds back."""

from __future__ import annotations

from recoup.errors import Refusal

__all__ = ["ThrottledError"]


class ThrottledError(Refusal):
    """An adaptive throttle held a call back by chance, because the service turned too many of the last ones away.

    Attributes:
        name: Name of the throttle.
        retry_after: Always `None`: every new try has its own chance, and a better one the later it comes.
        odds: With which probability calls are held back now.
    """

    def __init__(self, *, name: str, odds: float) -> None:
        super().__init__(name=name)
        self.odds = odds

    def __str__(self) -> str:
        return (
            f"throttle {self.name!r} held the call back, as it does with {self.odds:.0%} of them now: the service "
            "turns too many away; send less, or try again later"
        )
